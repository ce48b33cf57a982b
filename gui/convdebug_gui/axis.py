"""The axis of a chart: no line, few ticks, words for numbers, steps, times or layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFontMetrics, QPainter, QPen

from convdebug_gui.theme import theme
from convdebug_gui.ticks import MINUS, axis_steps, duration, few_ticks, log_ticks, short_number, whole_ticks

TextSpec = tuple[QRectF, Qt.AlignmentFlag, str]
NAMES_LEAST, NAMES_MOST = 64, 112


class Axis(pg.AxisItem):
    """An axis without a line, with few ticks: linear, log (of log10 values), asinh, steps, time or names."""

    name_clicked = pyqtSignal(object)

    def __init__(self, orientation: str, kind: str = "linear") -> None:
        super().__init__(orientation)
        self.kind = kind
        self.names: Sequence[str] = ()
        self.suffix = ""
        self.unit: float | None = None
        self.spacing_px = 36 if orientation == "left" else 90
        self.setStyle(tickLength=0, tickTextOffset=6, hideOverlappingLabels=False)
        self.enableAutoSIPrefix(False)
        self.restyle()

    def restyle(self) -> None:
        self.setPen(QPen(Qt.PenStyle.NoPen))
        self.setTextPen(QColor(theme().tokens.dim))
        self.setTickFont(theme().font("caption"))
        self.picture = None
        self.update()

    def set_kind(self, kind: str) -> None:
        if kind != self.kind:
            self.kind = kind
            self.refresh_words()

    def show_unit(self, unit: float | None) -> None:
        """Positions are asinh(value / unit) rather than values."""
        self.unit = unit
        self.set_kind("linear" if unit is None else "asinh")

    def refresh_words(self) -> None:
        self.picture = None
        self.update()

    def mouseClickEvent(self, event) -> None:
        view = self.linkedView()
        if view is not None and self.kind == "names" and event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.name_clicked.emit(view.mapSceneToView(event.scenePos()).y())

    def generateDrawSpecs(self, p: QPainter) -> tuple[None, list[object], list[TextSpec]]:
        """Where the words go; pyqtgraph's own way costs two milliseconds an axis for ticks that are not drawn."""
        box = QRectF(QPointF(0, 0), self.size())
        upright = self.orientation == "left"
        length = box.height() if upright else box.width()
        low, high = self.range  # of an inverted axis the other way round
        if high == low or length <= 0:
            return None, [], []
        ((_spacing, values),) = self.tickValues(low, high, length)
        places = [length * (value - low) / (high - low) for value in values]
        if upright:
            places = [length - place for place in places]
        words = self.tickStrings(values, 1.0, 1.0) if values else []
        return None, [], [self._text_spec(box, place, word) for place, word in zip(places, words, strict=True)]

    def _text_spec(self, box: QRectF, place: float, words: str) -> TextSpec:
        if self.orientation == "left":
            high = theme().pixels(16)
            side = QRectF(0, place - high / 2, box.width() - 6, high)
            return side, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words
        beneath = QRectF(place - 60, 6, 120, box.height() - 6)
        return beneath, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, words

    def drawPicture(self, p: QPainter, axisSpec: object, tickSpecs: object, textSpecs: Iterable[TextSpec]) -> None:
        """Words only: no line along the axis and no tick marks."""
        p.setFont(theme().font("caption"))
        p.setPen(QColor(theme().tokens.dim))
        for box, flags, words in textSpecs:
            p.drawText(box, int(flags), words)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        count = max(int(size / theme().pixels(self.spacing_px)), 2)
        low, high = sorted((minVal, maxVal))
        if self.kind == "names":
            return [(1, self._name_positions(low, high, size))]
        if self.kind == "depth":
            return [(1, _depth_ticks(low, high))]
        if self.kind == "log":
            return [(1, log_ticks(low, high, count))]
        if self.kind == "steps":
            return [(1, whole_ticks(low, high, count))]
        return [(1, few_ticks(low, high, count))]

    def _name_positions(self, low: float, high: float, size: float) -> list[float]:
        room = max(size / max(high - low, 1e-9), 1e-9)
        every = max(1, round(theme().pixels(15) / room + 0.49))
        return [row + 0.5 for row in range(0, len(self.names), every) if low <= row + 0.5 <= high]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        if self.kind == "names":
            return [self._elided(self.names[int(value)]) for value in values]
        words = [self._word(value) for value in values]
        for digits in (4, 5):
            if self.kind == "log" and len(set(words)) < len(words):  # close together: 2.35 and 2.4
                words = [self._word(value, digits) for value in values]
        return [word + (self.suffix if value == max(values) else "") for word, value in zip(words, values, strict=True)]

    def _word(self, value: float, digits: int = 3) -> str:
        match self.kind:
            case "log":
                return short_number(10**value, digits)
            case "steps":
                return axis_steps(value)
            case "time":
                return duration(value)
            case "asinh":
                return short_number(math.sinh(value) * (self.unit or 1.0), 2)
            case _:
                return f"{value:g}".replace("-", MINUS)

    def show_names(self, names: Sequence[str]) -> None:
        """A row per name; the axis is as wide as they need, within limits."""
        self.names = names
        metrics = QFontMetrics(theme().font("caption"))
        widest = max((metrics.horizontalAdvance(name) for name in names), default=0) + 14
        self.setWidth(min(max(widest, theme().pixels(NAMES_LEAST)), theme().pixels(NAMES_MOST)))
        self.refresh_words()

    def _elided(self, name: str) -> str:
        width = int(self.width()) - 10
        return QFontMetrics(theme().font("caption")).elidedText(name, Qt.TextElideMode.ElideMiddle, width)


def _depth_ticks(low: float, high: float) -> list[float]:
    """First, middle and last layer, counted from 1."""
    first, last = math.ceil(low), math.floor(high)
    return sorted({float(first), float((first + last) // 2), float(last)}) if last >= first else []
