"""A row per layer on a chart: colours over the steps, or a bar at the step that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from convdebug_gui.plot_items import VIRIDIS, Overlay, crisp_pen
from convdebug_gui.theme import theme, with_alpha


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
