"""What is drawn on a chart besides curves: grid, bands, marks, the playhead, bundles, ridges, heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPaintEngine, QPainter, QPen, QPixmap, QPolygonF
from PyQt6.QtWidgets import QGraphicsItem

from convdebug_gui.theme import theme, with_alpha

VIRIDIS = pg.colormap.get("viridis").getLookupTable(nPts=256, alpha=False).astype(np.uint8)


def depth_color(index: int, count: int) -> QColor:
    """The colour of a layer by its depth, the first one dark; kept off the ends that the ground swallows."""
    low, high = (0.14, 1.0) if theme().tokens.name == "dark" else (0.0, 0.92)
    share = low + (high - low) * (index / max(count - 1, 1))
    return QColor(*(int(part) for part in VIRIDIS[round(255 * share)]))


def crisp_pen(color: QColor | str, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    return QPen(QColor(color), width, style)


@dataclass(frozen=True)
class Level:
    """A horizontal line at a value, with words above its left end."""

    value: float
    text: str
    color: str


@dataclass(frozen=True)
class Change:
    """A thin vertical line where a hyper-parameter was changed."""

    x: float
    text: str


class Overlay(pg.GraphicsObject):
    """Drawn in the pixels of a view box, mapped from its values; the size of the whole box."""

    def __init__(self, view: pg.ViewBox, depth: float) -> None:
        super().__init__()
        self.view = view
        self.setParentItem(view)
        self.setZValue(depth)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemHasNoContents, False)
        view.sigRangeChanged.connect(self._moved)
        view.sigResized.connect(self._moved)

    def boundingRect(self) -> QRectF:
        return QRectF(self.view.rect())

    def _moved(self, *_args: object) -> None:
        self.prepareGeometryChange()
        self.update()

    def x_pixel(self, x: float) -> float:
        (low, high), width = self.view.viewRange()[0], self.view.rect().width()
        return (x - low) / ((high - low) or 1.0) * width

    def x_pixels(self, xs: np.ndarray) -> np.ndarray:
        (low, high), width = self.view.viewRange()[0], self.view.rect().width()
        return (xs - low) / ((high - low) or 1.0) * width

    def y_pixel(self, y: float) -> float:
        (low, high), height = self.view.viewRange()[1], self.view.rect().height()
        share = (y - low) / ((high - low) or 1.0)
        return height * share if self.view.yInverted() else height * (1 - share)


class Grid(Overlay):
    """Horizontal grid lines at the ticks of the left axis, and bands of a colour between two values."""

    def __init__(self, view: pg.ViewBox, axis: pg.AxisItem) -> None:
        super().__init__(view, -200)
        self.axis = axis
        self.bands: list[tuple[float, float, QColor]] = []
        self.lines_shown = True

    def paint(self, painter: QPainter, *_args: object) -> None:
        width, height = self.view.rect().width(), self.view.rect().height()
        for low, high, color in self.bands:
            top, bottom = sorted((self.y_pixel(low), self.y_pixel(high)))
            painter.fillRect(QRectF(0, top, width, bottom - top).intersected(QRectF(0, 0, width, height)), color)
        if not self.lines_shown:
            return
        painter.setPen(crisp_pen(theme().tokens.line))
        low, high = self.view.viewRange()[1]
        for _spacing, values in self.axis.tickValues(low, high, height):
            for value in values:
                y = round(self.y_pixel(value)) + 0.5
                painter.drawLine(QPointF(0, y), QPointF(width, y))


class Marks(Overlay):
    """Reference levels, changes of hyper-parameters, and non-finite steps in red at the top edge."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 50)
        self.levels: Sequence[Level] = ()
        self.changes: Sequence[Change] = ()
        self.bad: np.ndarray = np.zeros(0)

    def show(self, *, levels: Sequence[Level] = (), changes: Sequence[Change] = (), bad: np.ndarray) -> None:
        self.levels, self.changes, self.bad = levels, changes, bad
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        painter.setFont(theme().font("caption"))
        for change in self.changes:
            self._paint_change(painter, change)
        for level in self.levels:
            self._paint_level(painter, level)
        self._paint_bad(painter)

    def _paint_change(self, painter: QPainter, change: Change) -> None:
        x = round(self.x_pixel(change.x)) + 0.5
        if 0 <= x <= self.view.rect().width():
            painter.setPen(crisp_pen(theme().tokens.faint))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.view.rect().height()))

    def _paint_level(self, painter: QPainter, level: Level) -> None:
        y = round(self.y_pixel(level.value)) + 0.5
        if not 0 <= y <= self.view.rect().height():
            return
        painter.setPen(crisp_pen(with_alpha(level.color, 0.65), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(0, y), QPointF(self.view.rect().width(), y))
        painter.setPen(QColor(level.color))
        painter.drawText(QPointF(6, y - 4 if y > 16 else y + theme().pixels(13)), level.text)

    def _paint_bad(self, painter: QPainter) -> None:
        if not len(self.bad):
            return
        pixels = np.unique(np.round(self.x_pixel(0.0) + self.bad * self._scale()))
        inside = pixels[(pixels >= -2) & (pixels <= self.view.rect().width() + 2)]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme().tokens.error))
        for x in inside.tolist():
            painter.drawRect(QRectF(x - 1, 0, 2, theme().pixels(7)))

    def _scale(self) -> float:
        low, high = self.view.viewRange()[0]
        return float(self.view.rect().width() / ((high - low) or 1.0))


class PlayheadLine(Overlay):
    """The dashed vertical line at the step that all panels show; only its own strip is drawn again."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 60)
        self.x: float | None = None

    def boundingRect(self) -> QRectF:
        if self.x is None:
            return QRectF()
        return QRectF(self.x_pixel(self.x) - 3, 0, 6, self.view.rect().height())

    def move(self, x: float | None) -> None:
        if x != self.x:
            self.prepareGeometryChange()
            self.x = x
            self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        if self.x is None or not -1 <= self.x_pixel(self.x) <= self.view.rect().width() + 1:
            return
        x = round(self.x_pixel(self.x)) + 0.5
        painter.setPen(_dashes())
        painter.drawLine(QPointF(x, 0), QPointF(x, self.view.rect().height()))


def _dashes() -> QPen:
    pen = crisp_pen(theme().tokens.playhead)
    pen.setDashPattern([3, 2])
    return pen


class HoverLine(PlayheadLine):
    """A faint vertical line under the mouse."""

    def paint(self, painter: QPainter, *_args: object) -> None:
        if self.x is not None:
            x = round(self.x_pixel(self.x)) + 0.5
            painter.setPen(crisp_pen(theme().tokens.faint))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.view.rect().height()))


@dataclass(frozen=True)
class Stroke:
    """One curve in the coordinates of its chart: a line, or dots."""

    name: str
    xs: np.ndarray
    ys: np.ndarray
    color: QColor
    width: float = 1.4
    dots: bool = False


class Strokes(Overlay):
    """Any number of curves as one item, the last on top; a line breaks where a value is not finite."""

    SMOOTH_EDGES_UP_TO = 12_000  # points; beyond, antialiasing costs more than it shows

    def __init__(self, view: pg.ViewBox, depth: float = 10) -> None:
        super().__init__(view, depth)
        self.strokes: Sequence[Stroke] = ()
        self._kept: tuple[object, QPixmap] | None = None

    def show(self, strokes: Sequence[Stroke]) -> None:
        self.strokes = strokes
        self._kept = None
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        """On a screen from a picture kept until the curves or the view change: the playhead passes over it cheaply."""
        engine, device = painter.paintEngine(), painter.device()
        if engine is None or device is None or engine.type() != QPaintEngine.Type.Raster:
            self._paint_strokes(painter)
            return
        box, ratio = self.boundingRect(), device.devicePixelRatioF()
        key = (self.view.viewRange(), box.width(), box.height(), ratio)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self._drawn(box, ratio))
        painter.drawPixmap(QPointF(0, 0), self._kept[1])

    def _drawn(self, box: QRectF, ratio: float) -> QPixmap:
        pixmap = QPixmap(max(math.ceil(box.width() * ratio), 1), max(math.ceil(box.height() * ratio), 1))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self._paint_strokes(painter)
        painter.end()
        return pixmap

    def _paint_strokes(self, painter: QPainter) -> None:
        painter.setClipRect(self.boundingRect())
        points = sum(len(stroke.xs) for stroke in self.strokes)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, points <= self.SMOOTH_EDGES_UP_TO)
        for stroke in self.strokes:
            xs, ys = self._pixels(stroke)
            if stroke.dots:
                self._paint_dots(painter, stroke, xs, ys)
            else:
                self._paint_line(painter, stroke, xs, ys)

    def _pixels(self, stroke: Stroke) -> tuple[np.ndarray, np.ndarray]:
        (left, right), (low, high) = self.view.viewRange()
        width, height = self.view.rect().width(), self.view.rect().height()
        xs = (stroke.xs - left) / ((right - left) or 1.0) * width
        return xs, height - (stroke.ys - low) / ((high - low) or 1.0) * height

    def _paint_line(self, painter: QPainter, stroke: Stroke, xs: np.ndarray, ys: np.ndarray) -> None:
        painter.setPen(crisp_pen(stroke.color, stroke.width))
        finite = np.isfinite(ys)
        edges = np.flatnonzero(np.diff(finite.astype(np.int8))) + 1
        for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(ys)], strict=True):
            if end - begin == 1 and finite[begin]:
                painter.drawPoint(QPointF(xs[begin], ys[begin]))
            elif end > begin and finite[begin]:
                painter.drawPolyline(polygon_from(xs[begin:end], ys[begin:end]))

    def _paint_dots(self, painter: QPainter, stroke: Stroke, xs: np.ndarray, ys: np.ndarray) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(stroke.color)
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            if y - y == 0.0:
                painter.drawEllipse(QPointF(x, y), stroke.width, stroke.width)


class Gap(Overlay):
    """The area between two curves over the same x, shaded."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 2)
        self.xs: np.ndarray = np.zeros(0)
        self.low: np.ndarray = np.zeros(0)
        self.high: np.ndarray = np.zeros(0)
        self.color = QColor()

    def show(self, xs: np.ndarray, low: np.ndarray, high: np.ndarray, color: QColor) -> None:
        known = np.isfinite(low) & np.isfinite(high)
        self.xs, self.low, self.high, self.color = xs[known], low[known], high[known], color
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        if len(self.xs) < 2:
            return
        (left, right), (bottom, top) = self.view.viewRange()
        width, height = self.view.rect().width(), self.view.rect().height()
        xs = (self.xs - left) / ((right - left) or 1.0) * width
        low, high = (height - (ys - bottom) / ((top - bottom) or 1.0) * height for ys in (self.low, self.high))
        painter.setClipRect(self.boundingRect())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.color)
        painter.drawPolygon(polygon_from(np.concatenate([xs, xs[::-1]]), np.concatenate([low, high[::-1]])))


def polygon_from(xs: np.ndarray, ys: np.ndarray) -> QPolygonF:
    """A QPolygonF filled by one copy of memory."""
    polygon = QPolygonF()
    if not len(xs):
        return polygon
    polygon.fill(QPointF(), len(xs))
    memory: Any = polygon.data()
    memory.setsize(16 * len(xs))  # two doubles a point
    points = np.frombuffer(memory, np.float64).reshape(-1, 2)
    points[:, 0], points[:, 1] = xs, ys
    return polygon


class HeatMap(Overlay):
    """A row of colours per layer over the steps; non-finite cells red, rows apart by a pixel or two."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 5)
        self.image: QImage | None = None
        self.edges: np.ndarray = np.zeros(0)
        self.rows = 0
        self.picked: int | None = None

    def show(self, edges: np.ndarray, shares: np.ndarray, bad: np.ndarray, picked: int | None) -> None:
        """`shares`: 0…1 per cell, NaN where nothing was measured; `bad`: True where a value was non-finite."""
        self.edges, self.rows, self.picked = edges, len(shares), picked
        self.image = heat_image(shares, bad)
        self.update()

    def clear(self) -> None:
        self.image = None
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        if self.image is None or not len(self.edges):
            return
        painter.setClipRect(self.boundingRect())
        left, right = self.x_pixel(float(self.edges[0])), self.x_pixel(float(self.edges[-1]))
        for row in range(self.rows):
            top, bottom = sorted((round(self.y_pixel(row)), round(self.y_pixel(row + 1))))
            gap = 2 if bottom - top > 8 else (1 if bottom - top > 3 else 0)
            source = QRectF(0, row, self.image.width(), 1)
            painter.drawImage(QRectF(left, top, right - left, max(bottom - top - gap, 1)), self.image, source)
            if row == self.picked:
                painter.setPen(crisp_pen(theme().tokens.ink))
                painter.drawRect(QRectF(0.5, top - 0.5, self.view.rect().width() - 1, bottom - top - gap + 0.5))


def heat_image(shares: np.ndarray, bad: np.ndarray) -> QImage:
    """Rows of viridis as a 32-bit picture of its own memory."""
    known = np.isfinite(shares)
    index = np.clip(np.where(known, shares, 0) * 255, 0, 255).astype(np.uint8)
    pixels = np.zeros((*shares.shape, 4), np.uint8)
    pixels[..., :3] = VIRIDIS[index][..., ::-1]
    pixels[..., 3] = np.where(known, 255, 0)
    red = QColor(theme().tokens.error)
    pixels[bad] = (red.blue(), red.green(), red.red(), 255)
    height, width = shares.shape
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_ARGB32).copy()


class Bars(Overlay):
    """One horizontal bar per row, from the left edge to a value; NaN leaves none, non-finite is said in red."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 5)
        self.values: np.ndarray = np.zeros(0)
        self.colors: Sequence[QColor] = ()
        self.bad: np.ndarray = np.zeros(0, bool)
        self.picked: int | None = None

    def show(self, values: np.ndarray, colors: Sequence[QColor], bad: np.ndarray, picked: int | None) -> None:
        self.values, self.colors, self.bad, self.picked = values, colors, bad, picked
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        painter.setClipRect(self.boundingRect())
        low = self.view.viewRange()[0][0]
        for row, value in enumerate(self.values.tolist()):
            top, bottom = sorted((self.y_pixel(row), self.y_pixel(row + 1)))
            inset = 0.12 * (bottom - top) if bottom - top > 6 else 0
            if self.bad[row]:
                self._paint_word(painter, QRectF(0, top, self.view.rect().width(), bottom - top))
            elif np.isfinite(value):
                width = self.x_pixel(max(value, low)) - self.x_pixel(low)
                faded = self.picked is not None and row != self.picked
                color = with_alpha(self.colors[row].name(), 0.35) if faded else self.colors[row]
                painter.fillRect(QRectF(0, top + inset, max(width, 1), bottom - top - 2 * inset), color)

    def _paint_word(self, painter: QPainter, box: QRectF) -> None:
        painter.setPen(QColor(theme().tokens.error))
        painter.setFont(theme().font("caption"))
        if box.height() >= QFontMetricsF(QFont(theme().font("caption"))).height() - 4:
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, "NaN")
        else:
            painter.fillRect(QRectF(0, box.top(), 6, max(box.height() - 1, 1)), QColor(theme().tokens.error))
