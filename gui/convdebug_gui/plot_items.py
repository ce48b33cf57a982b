"""What is drawn on a chart besides its data: grid, bands, marks, the playhead; and what all that is drawn stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen
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
