"""The mark of a check's status: a painted sign, told apart by its shape as well as by its colour."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import QSizePolicy, QWidget

from convdebug_gui.theme import theme
from convdebug_gui.wizard.verdicts import WORDS


def status_color(status: str) -> str:
    """The colour that stands for a status."""
    tokens = theme().tokens
    colors = {"pass": tokens.good, "warn": tokens.warning, "fail": tokens.error, "error": tokens.error}
    return colors.get(status, tokens.accent if status == "running" else tokens.dim)


def paint_mark(painter: QPainter, box: QRectF, status: str, share: float | None = None) -> None:
    """Draw the mark of a status into a square."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    color = QColor(status_color(status))
    pen = QPen(color, max(1.6, box.width() / 9))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen)
    if status == "running":
        _paint_running(painter, box, share)
    elif status in STROKES:
        for stroke in STROKES[status]:
            painter.drawPolyline(QPolygonF([_at(box, x, y) for x, y in stroke]))
    else:
        painter.setPen(QPen(QColor(theme().tokens.faint), 1.4))
        painter.drawEllipse(box.center(), box.width() * 0.28, box.width() * 0.28)


STROKES = {
    "pass": [[(0.2, 0.55), (0.42, 0.76), (0.82, 0.28)]],
    "fail": [[(0.25, 0.25), (0.75, 0.75)], [(0.75, 0.25), (0.25, 0.75)]],
    "error": [[(0.25, 0.25), (0.75, 0.75)], [(0.75, 0.25), (0.25, 0.75)]],
    "warn": [[(0.5, 0.18), (0.5, 0.56)], [(0.5, 0.8), (0.5, 0.81)]],
    "skip": [[(0.28, 0.5), (0.72, 0.5)]],
    "stopped": [[(0.28, 0.5), (0.72, 0.5)]],
}


def _at(box: QRectF, x: float, y: float) -> QPointF:
    return QPointF(box.left() + x * box.width(), box.top() + y * box.height())


def _paint_running(painter: QPainter, box: QRectF, share: float | None) -> None:
    tokens = theme().tokens
    ring = box.adjusted(box.width() * 0.16, box.height() * 0.16, -box.width() * 0.16, -box.height() * 0.16)
    pen = painter.pen()
    painter.setPen(QPen(QColor(tokens.line), pen.widthF()))
    painter.drawEllipse(ring)
    painter.setPen(QPen(QColor(tokens.accent), pen.widthF()))
    painter.drawArc(ring, 90 * 16, -round(360 * 16 * (share if share is not None else 0.25)))


class Mark(QWidget):
    """A status mark as a widget."""

    def __init__(self, status: str = "pending", side: int = 18) -> None:
        super().__init__()
        self._side = side
        self.status = ""
        self.share: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme().changed.connect(self._restyle)
        self.show_status(status)

    def _restyle(self) -> None:
        self.update()  # a method of our own: Qt's would be called after the widget's end

    def sizeHint(self) -> QSize:
        return QSize(theme().pixels(self._side), theme().pixels(self._side))

    def show_status(self, status: str, share: float | None = None) -> None:
        if (status, share) != (self.status, self.share):
            self.status, self.share = status, share
            self.setAccessibleName(WORDS.get(status, status))
            self.setToolTip(WORDS.get(status, status))
            self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        paint_mark(painter, QRectF(self.rect()), self.status, self.share)
        painter.end()
