"""A small curve painted without pyqtgraph, so that the welcome page is there before anything heavy is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QLinearGradient, QPainter, QPainterPath, QPen, QPolygonF

from convdebug_gui.theme import theme, with_alpha


def paint_small_curve(painter: QPainter, box: QRectF, values: Sequence[float], color: str) -> None:
    """Draw values over their order into a box, softly filled beneath; non-finite ones are red marks at the top edge."""
    finite = [value for value in values if math.isfinite(value)]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if finite:
        low, high = min(finite), max(finite)
        for piece in _pieces(values, box, low, (high - low) or 1.0):
            _paint_piece(painter, box, piece, color)
    _paint_missing(painter, box, values)


def _pieces(values: Sequence[float], box: QRectF, low: float, spread: float) -> list[list[QPointF]]:
    pieces: list[list[QPointF]] = [[]]
    across = box.width() / max(1, len(values) - 1)
    for index, value in enumerate(values):
        if math.isfinite(value):
            share = 0.5 if spread == 1.0 and value == low else (value - low) / spread
            pieces[-1].append(QPointF(box.left() + index * across, box.bottom() - share * box.height()))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _paint_piece(painter: QPainter, box: QRectF, points: list[QPointF], color: str) -> None:
    area = QPainterPath(QPointF(points[0].x(), box.bottom()))
    for point in points:
        area.lineTo(point)
    area.lineTo(points[-1].x(), box.bottom())
    fade = QLinearGradient(box.topLeft(), box.bottomLeft())
    fade.setColorAt(0, with_alpha(color, 0.22))
    fade.setColorAt(1, with_alpha(color, 0.0))
    painter.fillPath(area, fade)
    pen = QPen(QColor(color), 1.5)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.drawPolyline(QPolygonF(points)) if len(points) > 1 else painter.drawPoint(points[0])


def _paint_missing(painter: QPainter, box: QRectF, values: Sequence[float]) -> None:
    across = box.width() / max(1, len(values) - 1)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme().tokens.error))
    for index, value in enumerate(values):
        if not math.isfinite(value):
            painter.drawEllipse(QPointF(box.left() + index * across, box.top() + 2), 2, 2)
    painter.setBrush(Qt.BrushStyle.NoBrush)
