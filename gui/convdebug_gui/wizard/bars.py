"""Paints named horizontal bars: the name at the left, the bar, its number at its end."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter

from convdebug_gui.theme import theme
from convdebug_gui.ticks import short_number
from convdebug_gui.wizard.curves import Picture

NAME_WIDTH, NUMBER_WIDTH = 120, 64


def paint_bars(painter: QPainter, room: QRectF, picture: Picture) -> None:
    """Bars from zero to the largest number; one that is not finite is as long as the largest, in the error colour."""
    tokens, pixels = theme().tokens, theme().pixels
    values = np.asarray(picture.lines[0].y, dtype=float)
    box = room.adjusted(pixels(NAME_WIDTH), pixels(24), -pixels(NUMBER_WIDTH), -pixels(6))
    row = min(box.height() / max(len(values), 1), pixels(34))
    largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0)) or 1.0
    painter.setPen(QColor(tokens.dim))
    painter.drawText(QPointF(pixels(4), pixels(14)), picture.y_label)
    for index, (name, value) in enumerate(zip(picture.bars, values, strict=True)):
        top = box.top() + index * row
        length = box.width() * (abs(value) / largest if np.isfinite(value) else 1.0)
        painter.setPen(QColor(tokens.ink))
        left = QRectF(room.left(), top, pixels(NAME_WIDTH - 12), row)
        painter.drawText(left, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
        bar = QRectF(box.left(), top + row * 0.2, max(length, 1.0), row * 0.6)
        painter.fillRect(bar, QColor(tokens.accent if np.isfinite(value) else tokens.error))
        right = QRectF(bar.right() + pixels(8), top, pixels(NUMBER_WIDTH), row)
        painter.setPen(QColor(tokens.dim))
        painter.drawText(right, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short_number(float(value)))
