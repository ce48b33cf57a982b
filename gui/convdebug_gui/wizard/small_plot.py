"""A small quiet plot, painted: horizontal grid lines, few ticks, one line in the accent and earlier ones faint."""

from __future__ import annotations

import math

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import QSizePolicy, QWidget

from convdebug_gui.theme import theme, with_alpha
from convdebug_gui.ticks import axis_steps, few_ticks, log_ticks, short_number
from convdebug_gui.wizard.curves import Line, Picture

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
CENTER = Qt.AlignmentFlag.AlignCenter


class SmallPlot(QWidget):
    """Draws a `Picture`; without one it says what will be here."""

    def __init__(self, empty: str = "") -> None:
        super().__init__()
        self.picture: Picture | None = None
        self._empty = empty
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.update()  # a method of our own: Qt's would be called after the widget's end

    def show_picture(self, picture: Picture | None, empty: str = "") -> None:
        self.picture, self._empty = picture, empty or self._empty
        self.setAccessibleName(f"{picture.y_label} against {picture.x_label}" if picture is not None else self._empty)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme().pixels(480), theme().pixels(240))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme().pixels(200), theme().pixels(120))

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme().font("caption"))
        if self.picture is None:
            painter.setPen(QColor(theme().tokens.dim))
            painter.drawText(QRectF(self.rect()), int(CENTER | Qt.TextFlag.TextWordWrap), self._empty)
        else:
            self._paint(painter, self.picture)
        painter.end()

    def _paint(self, painter: QPainter, picture: Picture) -> None:
        pixels = theme().pixels
        box = QRectF(self.rect()).adjusted(pixels(52), pixels(22), -pixels(8), -pixels(24))
        x_range = _range([_scaled(line.x, picture.log_x) for line in picture.lines], 0.0)
        if picture.places:
            x_range = (-0.5, max(len(picture.places), len(picture.lines[0].x)) - 0.5)
        y_range = _range([_scaled(values, picture.log_y) for values in _heights(picture)], 0.06)
        if picture.columns and not picture.log_y:
            negative = any((line.y < 0).any() for line in picture.lines)
            y_range = (y_range[0] if negative else 0.0, y_range[1])  # columns stand on zero
        self._paint_y_axis(painter, picture, box, y_range)
        if picture.places:
            self._paint_places(painter, picture, box)
        else:
            self._paint_x_axis(painter, picture, box, x_range)
        for line in sorted(picture.lines, key=lambda line: line.current):
            if picture.columns:
                self._paint_columns(painter, picture, line, box, y_range)
            else:
                self._paint_line(painter, picture, line, box, x_range, y_range)
        self._paint_level(painter, picture, box, y_range)
        self._paint_legend(painter, picture, box)

    def _paint_places(self, painter: QPainter, picture: Picture, box: QRectF) -> None:
        """Names under the plot, as many as there is room for, each in the middle of its place."""
        pixels = theme().pixels
        painter.setPen(QColor(theme().tokens.dim))
        width = box.width() / len(picture.places)
        longest = max(painter.fontMetrics().horizontalAdvance(name) for name in picture.places)
        every = max(1, math.ceil((min(longest, pixels(96)) + pixels(8)) / width))
        room = min(every * width - pixels(4), box.width())
        free = 0.0
        for index in range(0, len(picture.places), every):
            middle = box.left() + (index + 0.5) * width
            left = min(max(middle - room / 2, 0), self.width() - room)
            words = painter.fontMetrics().elidedText(picture.places[index], Qt.TextElideMode.ElideLeft, int(room))
            wide = painter.fontMetrics().horizontalAdvance(words)
            if left + (room - wide) / 2 >= free:
                painter.drawText(QRectF(left, box.bottom() + pixels(6), room, pixels(16)), CENTER, words)
                free = left + (room + wide) / 2 + pixels(4)
        right = QRectF(box.right() - pixels(240), pixels(2), pixels(240), pixels(14))
        painter.drawText(right, RIGHT, f"against {picture.x_label}" if picture.x_label else "")

    def _paint_columns(
        self, painter: QPainter, picture: Picture, line: Line, box: QRectF, y_range: tuple[float, float]
    ) -> None:
        """Columns from the lower edge; those beyond the level, and those without a number, in the colour of errors."""
        tokens = theme().tokens
        heights = _scaled(line.y, picture.log_y)
        width = box.width() / max(len(picture.places), len(heights))
        painter.setPen(Qt.PenStyle.NoPen)
        for index, (value, height) in enumerate(zip(line.y, heights, strict=True)):
            left, across = box.left() + (index + 0.2) * width, 0.6 * width
            if not np.isfinite(height):
                painter.setBrush(QColor(tokens.error))
                painter.drawEllipse(QPointF(left + across / 2, box.bottom() - 4), 3, 3)
                continue
            beyond = picture.level is not None and value > picture.level
            painter.setBrush(QColor(tokens.error if beyond else tokens.accent))
            top = _place(height, y_range, box.bottom(), box.top())
            painter.drawRect(QRectF(left, top, across, max(box.bottom() - top, 1.0)))
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paint_level(self, painter: QPainter, picture: Picture, box: QRectF, y_range: tuple[float, float]) -> None:
        if picture.level is None:
            return
        pixels = theme().pixels
        y = _place(float(_scaled(np.array([picture.level]), picture.log_y)[0]), y_range, box.bottom(), box.top())
        painter.setPen(QPen(QColor(theme().tokens.error), 1.2, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        words = f"{picture.level_name} {short_number(picture.level)}"
        painter.drawText(QRectF(box.right() - pixels(240), y - pixels(16), pixels(240), pixels(14)), RIGHT, words)

    def _paint_legend(self, painter: QPainter, picture: Picture, box: QRectF) -> None:
        """Names of the lines, where a check named several, beside the label of the y-axis."""
        pixels, tokens = theme().pixels, theme().tokens
        named = [line for line in picture.lines if line.name and picture.legend]
        x = float(pixels(16) + painter.fontMetrics().horizontalAdvance(picture.y_label + " (log)"))
        for line in named:
            color = QColor(tokens.accent) if line.current else with_alpha(tokens.dim, 0.7)
            painter.setPen(QPen(color, 2))
            painter.drawLine(QPointF(x, pixels(8)), QPointF(x + pixels(14), pixels(8)))
            painter.setPen(QColor(tokens.dim))
            painter.drawText(QPointF(x + pixels(18), pixels(12)), line.name)
            x += pixels(34) + painter.fontMetrics().horizontalAdvance(line.name)

    def _paint_y_axis(self, painter: QPainter, picture: Picture, box: QRectF, limits: tuple[float, float]) -> None:
        tokens, pixels = theme().tokens, theme().pixels
        ticks = log_ticks(*limits, 4) if picture.log_y else few_ticks(*limits, 4)
        for tick in ticks:
            y = _place(tick, limits, box.bottom(), box.top())
            painter.setPen(QPen(QColor(tokens.line), 1))
            painter.drawLine(QPointF(box.left(), round(y) + 0.5), QPointF(box.right(), round(y) + 0.5))
            painter.setPen(QColor(tokens.dim))
            text = QRectF(0, y - pixels(8), box.left() - pixels(8), pixels(16))
            painter.drawText(text, RIGHT, short_number(10**tick if picture.log_y else tick))
        painter.setPen(QColor(tokens.dim))
        painter.drawText(QPointF(pixels(4), pixels(12)), picture.y_label + (" (log)" if picture.log_y else ""))

    def _paint_x_axis(self, painter: QPainter, picture: Picture, box: QRectF, limits: tuple[float, float]) -> None:
        pixels = theme().pixels
        painter.setPen(QColor(theme().tokens.dim))
        for tick in log_ticks(*limits, 6) if picture.log_x else few_ticks(*limits, 5):
            x = _place(tick, limits, box.left(), box.right())
            words = short_number(10**tick) if picture.log_x else axis_steps(tick)
            painter.drawText(QRectF(x - pixels(30), box.bottom() + pixels(6), pixels(60), pixels(16)), CENTER, words)
        right = QRectF(box.right() - pixels(160), pixels(2), pixels(160), pixels(14))
        painter.drawText(right, RIGHT, f"against {picture.x_label}" if picture.x_label else "")

    def _paint_line(
        self,
        painter: QPainter,
        picture: Picture,
        line: Line,
        box: QRectF,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        tokens = theme().tokens
        xs, ys = _scaled(line.x, picture.log_x), _scaled(line.y, picture.log_y)
        color = QColor(tokens.accent) if line.current else with_alpha(tokens.dim, 0.45)
        pen = QPen(color, 1.8 if line.current else 1.2)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        places = [_place(x, x_range, box.left(), box.right()) for x in xs]
        good = np.isfinite(ys)
        points = [
            QPointF(place, _place(y, y_range, box.bottom(), box.top()))
            for place, y, fine in zip(places, ys, good, strict=True)
            if fine
        ]
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(points))
        if picture.points or len(points) < 2:
            painter.setBrush(color)
            for point in points:
                painter.drawEllipse(point, 2.6, 2.6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.error))
        for place in (place for place, fine in zip(places, good, strict=True) if not fine):
            painter.drawEllipse(QPointF(place, box.top()), 2.6, 2.6)
        painter.setBrush(Qt.BrushStyle.NoBrush)


def _heights(picture: Picture) -> list[np.ndarray]:
    """Every value that the y-axis must hold: those of the lines, the level, and zero under plain columns."""
    values = [line.y for line in picture.lines]
    values += [np.array([picture.level])] if picture.level is not None else []
    return values + ([np.zeros(1)] if picture.columns and not picture.log_y else [])


def _scaled(values: np.ndarray, log: bool) -> np.ndarray:
    if not log:
        return np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.where(values > 0, values, np.nan))


def _range(values: list[np.ndarray], margin: float) -> tuple[float, float]:
    every = np.concatenate(values)
    finite = every[np.isfinite(every)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    spread = (high - low) or max(abs(high), 1.0) * 0.1
    return (low - margin * spread, high + margin * spread) if high > low else (low - spread / 2, high + spread / 2)


def _place(value: float, limits: tuple[float, float], start: float, end: float) -> float:
    return start + (value - limits[0]) / (limits[1] - limits[0]) * (end - start)
