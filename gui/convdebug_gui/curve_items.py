"""Curves on a chart, any number of them as one item, and the shaded area between two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPaintEngine, QPainter, QPixmap, QPolygonF

from convdebug_gui.plot_items import Overlay, crisp_pen


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
