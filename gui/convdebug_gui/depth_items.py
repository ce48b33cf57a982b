"""What is drawn over depth rather than over steps: ridges of histograms and profiles of one value per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFontMetricsF, QPainter, QPolygonF

from convdebug_gui.curve_items import polygon_from
from convdebug_gui.plot_items import Overlay, crisp_pen
from convdebug_gui.theme import mix, theme, with_alpha

BASELINE = 0.82
HEIGHT = 1.55
LETTERS_PX = 14


@dataclass(frozen=True)
class Histogram:
    """Counts between low and high. `bad` where the limits are not finite or nothing was counted."""

    low: float
    high: float
    counts: np.ndarray

    @cached_property
    def bad(self) -> bool:
        return not (np.isfinite(self.low) and np.isfinite(self.high)) or not np.nansum(self.counts) > 0

    @cached_property
    def centres(self) -> np.ndarray:
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[:-1] + edges[1:]) / 2

    def quantiles(self, low_share: float, high_share: float) -> tuple[float, float]:
        summed = np.cumsum(self.counts)
        found = np.searchsorted(summed, np.array([low_share, high_share]) * summed[-1])
        low, high = self.centres[np.clip(found, 0, len(self.counts) - 1)]
        return float(low), float(high)

    def heights(self) -> np.ndarray:
        """Density from 0 to 1 of its usual peak; a lone spike (the zeros of a ReLU) is cut a little above."""
        counts = np.maximum(self.counts, 0.0)
        usual = np.partition(counts, -2)[-2] if len(counts) > 1 else counts.max()
        top = usual if usual > 0.15 * counts.max() else counts.max()
        return np.minimum(counts / max(top, 1e-12), 1.35)


def histograms_from(rows: np.ndarray) -> list[Histogram]:
    """A blob of histograms (L, 2 + bins): low, high, counts."""
    return [Histogram(float(row[0]), float(row[1]), np.asarray(row[2:], float)) for row in rows]


def common_range(histograms: Sequence[Histogram]) -> tuple[float, float, float | None]:
    """Low and high that show nearly all of every layer, and a unit where only an asinh axis can show them all."""
    spans = [histogram.quantiles(0.003, 0.997) for histogram in histograms if not histogram.bad]
    if not spans:
        return -1.0, 1.0, None
    sizes = np.array([max(abs(low), abs(high), 1e-12) for low, high in spans])
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    unit = float(np.median(sizes)) / 3 if sizes.max() > 40 * np.median(sizes) else None
    return low, high, unit


class Ridge(Overlay):
    """One filled histogram per layer above its own base line, later layers in front."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 5)
        self.histograms: Sequence[Histogram] = ()
        self.colors: Sequence[QColor] = ()
        self.unit: float | None = None
        self.picked: int | None = None

    def show(
        self, histograms: Sequence[Histogram], colors: Sequence[QColor], unit: float | None, picked: int | None
    ) -> None:
        self.histograms, self.colors, self.unit, self.picked = histograms, colors, unit, picked
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, len(self.histograms) <= 64)
        painter.setClipRect(self.boundingRect())
        row_height = self.y_pixel(1) - self.y_pixel(0)
        for row, histogram in enumerate(self.histograms):
            base = self.y_pixel(row + BASELINE)
            if histogram.bad:
                self._paint_bad(painter, base, row_height)
            else:
                self._paint_layer(painter, row, base, row_height * HEIGHT, histogram)
        if row_height < LETTERS_PX:
            self._say_bad(painter)

    def _paint_layer(self, painter: QPainter, row: int, base: float, height: float, histogram: Histogram) -> None:
        xs = self.x_pixels(self._placed(histogram.centres))
        ys = base - histogram.heights() * height * 0.72
        color = self.colors[row]
        faded = self.picked is not None and row != self.picked
        closed_x = np.concatenate([xs[:1], xs, xs[-1:]])
        closed_y = np.concatenate([[base], ys, [base]])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(with_alpha(color.name(), 0.25 if faded else 0.86))
        painter.drawPolygon(polygon_from(closed_x, closed_y))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        edge = theme().tokens.ink if row == self.picked else mix(color.name(), theme().tokens.panel, 0.55)
        painter.setPen(crisp_pen(edge, 1.2 if row == self.picked else 1.0))
        painter.drawPolyline(polygon_from(closed_x, closed_y))

    def _placed(self, values: np.ndarray) -> np.ndarray:
        return values if self.unit is None else np.arcsinh(values / self.unit)

    def _paint_bad(self, painter: QPainter, base: float, row_height: float) -> None:
        painter.setPen(QColor(theme().tokens.error))
        painter.setFont(theme().font("caption"))
        box = QRectF(0, base - row_height, self.view.rect().width(), row_height)
        if row_height >= LETTERS_PX:
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "nothing finite")
        else:
            painter.drawLine(QPointF(0, base), QPointF(self.view.rect().width(), base))

    def _say_bad(self, painter: QPainter) -> None:
        """One word for all rows that are too low for one of their own."""
        bad = [row for row, histogram in enumerate(self.histograms) if histogram.bad]
        if not bad:
            return
        words = f"nothing finite in {len(bad)} of {len(self.histograms)} layers"
        middle = (self.y_pixel(bad[0]) + self.y_pixel(bad[-1] + 1)) / 2
        paint_word(painter, words, self.view.rect().width() / 2, middle)


def paint_word(painter: QPainter, words: str, x: float, y: float) -> None:
    """Bad news around a point, on the ground of the panel."""
    font = theme().font("caption")
    width, height = QFontMetricsF(font).horizontalAdvance(words) + 12, QFontMetricsF(font).height() + 4
    box = QRectF(x - width / 2, y - height / 2, width, height)
    painter.fillRect(box, QColor(theme().tokens.panel))
    painter.setFont(font)
    painter.setPen(QColor(theme().tokens.error))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)


class Profile(Overlay):
    """One value per layer over depth: a line with dots in the colours of the layers, and a band around it."""

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(view, 8)
        self.middle: np.ndarray = np.zeros(0)
        self.low: np.ndarray | None = None
        self.high: np.ndarray | None = None
        self.colors: Sequence[QColor] = ()
        self.picked: int | None = None

    def show(
        self,
        middle: np.ndarray,
        colors: Sequence[QColor],
        picked: int | None,
        low: np.ndarray | None = None,
        high: np.ndarray | None = None,
    ) -> None:
        self.middle, self.colors, self.picked, self.low, self.high = middle, colors, picked, low, high
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(self.boundingRect().adjusted(-6, -6, 6, 6))
        xs = np.array([self.x_pixel(index + 1) for index in range(len(self.middle))])
        if self.low is not None and self.high is not None:
            self._paint_band(painter, xs, self.low, self.high)
        points = [QPointF(x, self.y_pixel(y)) for x, y in zip(xs.tolist(), self.middle.tolist(), strict=True)]
        known = np.isfinite(self.middle)
        painter.setPen(crisp_pen(theme().tokens.accent, 1.5))
        painter.drawPolyline(QPolygonF([point for point, there in zip(points, known, strict=True) if there]))
        for index, point in enumerate(points):
            if known[index]:
                self._paint_dot(painter, index, point)
            else:
                self._paint_bad(painter, point.x())
        if len(known) and not known.any():
            middle = self.view.rect().center()
            paint_word(painter, "nothing finite", middle.x(), middle.y())

    def _paint_band(self, painter: QPainter, xs: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        known = np.isfinite(low) & np.isfinite(high)
        bottom = np.array([self.y_pixel(y) for y in low[known]])
        top = np.array([self.y_pixel(y) for y in high[known]])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(with_alpha(theme().tokens.accent, 0.16))
        painter.drawPolygon(
            polygon_from(np.concatenate([xs[known], xs[known][::-1]]), np.concatenate([bottom, top[::-1]]))
        )

    def _paint_dot(self, painter: QPainter, index: int, point: QPointF) -> None:
        picked = index == self.picked
        few = len(self.middle) <= 60
        painter.setPen(crisp_pen(theme().tokens.ink if picked else self.colors[index], 1.5))
        painter.setBrush(self.colors[index])
        radius = 5.0 if picked else (3.5 if few else 2.0)
        painter.drawEllipse(point, radius, radius)

    def _paint_bad(self, painter: QPainter, x: float) -> None:
        painter.fillRect(QRectF(x - 1, 0, 2, theme().pixels(7)), QColor(theme().tokens.error))
