"""The chart that every panel draws on: no box, horizontal grid lines, few ticks, playhead, hover, kept zoom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

import pyqtgraph as pg
from PyQt6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QContextMenuEvent, QFontMetrics, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QGraphicsSceneWheelEvent, QLabel

from convdebug_gui.plot_items import Grid, HoverLine, Marks, PlayheadLine
from convdebug_gui.theme import theme
from convdebug_gui.ticks import MINUS, axis_steps, duration, few_ticks, log_ticks, short_number, whole_ticks

pg.setConfigOptions(antialias=True, useOpenGL=False)

Range = tuple[float, float]
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


class StepView(pg.ViewBox):
    """Wheel zooms along x, Shift+wheel along y, middle drag moves, left click and drag move the playhead."""

    pressed_at = pyqtSignal(object)
    zoomed = pyqtSignal()
    reset = pyqtSignal()

    def __init__(self) -> None:
        super().__init__(enableMenu=False, defaultPadding=0)
        self.disableAutoRange()
        self.zoomable = True
        self.dragging = False

    def wheelEvent(self, ev: QGraphicsSceneWheelEvent, axis: int | None = None) -> None:
        if not self.zoomable:
            ev.ignore()
            return
        sideways = bool(ev.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        super().wheelEvent(ev, axis=1 if sideways else 0)
        self.zoomed.emit()

    def mouseClickEvent(self, ev) -> None:
        if ev.button() != Qt.MouseButton.LeftButton:
            return
        ev.accept()
        if ev.double():
            self.reset.emit()
        else:
            self.pressed_at.emit(self.mapSceneToView(ev.scenePos()))

    def mouseDragEvent(self, ev, axis: int | None = None) -> None:
        if ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.dragging = not ev.isFinish()
            self.pressed_at.emit(self.mapSceneToView(ev.scenePos()))
        elif ev.button() == Qt.MouseButton.MiddleButton and self.zoomable:
            super().mouseDragEvent(ev, axis=0)
            self.zoomed.emit()
        else:
            ev.ignore()


class Chart(pg.PlotWidget):
    """A plot in the look of the window. Panels give it items, an extent in x and a range in y."""

    step_clicked = pyqtSignal(object)
    name_clicked = pyqtSignal(object)
    view_changed = pyqtSignal()

    def __init__(self, x_kind: str = "steps", y_kind: str = "linear", left_width: int = 40) -> None:
        self.view = StepView()
        self.left, self.bottom = Axis("left", y_kind), Axis("bottom", x_kind)
        super().__init__(viewBox=self.view, axisItems={"left": self.left, "bottom": self.bottom}, background=None)
        self.left_width = left_width
        self.paint_s = 0.0
        self.user_zoomed = False
        self.hover_text: Callable[[float, float], str] | None = None
        self._extent: Range = (0.0, 1.0)
        self._y_range: Range = (0.0, 1.0)
        self._y_held = False
        self._add_furniture()
        self._connect()
        self.restyle()

    def _add_furniture(self) -> None:
        self.grid = Grid(self.view, self.left)
        self.marks = Marks(self.view)
        self.playhead = PlayheadLine(self.view)
        self.hover_line = HoverLine(self.view)
        self._hover = QLabel(self)
        self._hover.setTextFormat(Qt.TextFormat.PlainText)
        self._hover.setProperty("role", "hover")
        self._hover.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._hover.hide()
        item = self.getPlotItem()
        item.hideButtons()
        item.setContentsMargins(0, 4, 8, 0)

    def _connect(self) -> None:
        self.view.pressed_at.connect(self._pressed)
        self.view.zoomed.connect(self._zoomed)
        self.view.reset.connect(self.reset_zoom)
        self.left.name_clicked.connect(self.name_clicked)
        self.scene().sigMouseMoved.connect(self._mouse_moved)
        theme().changed.connect(self.restyle)

    def restyle(self) -> None:
        """Fonts, colours and widths of the present theme."""
        for axis in (self.left, self.bottom):
            axis.restyle()
        self.left.setWidth(theme().pixels(self.left_width))
        self.bottom.setHeight(theme().pixels(22))
        self.view.update()

    # what is in view

    def set_extent(self, first: float, last: float) -> None:
        """The whole of x; what the user has zoomed into stays."""
        extent = (float(first), float(max(last, first + 1)))
        if extent == self._extent and not self._off_extent():
            return
        self._extent = extent
        self.view.setLimits(xMin=extent[0], xMax=extent[1], minXRange=min(4.0, extent[1] - extent[0]))
        if not self.user_zoomed:
            self.view.setXRange(*extent, padding=0)

    def set_extent_of_values(self, low: float, high: float) -> None:
        """The whole of an x axis that is not made of steps and is not zoomed."""
        if (low, high) != self._extent:
            self._extent = (low, high)
            self.view.setXRange(low, high, padding=0)

    def _off_extent(self) -> bool:
        return not self.user_zoomed and tuple(self.view.viewRange()[0]) != self._extent

    def set_y_range(self, low: float, high: float, margin: float = 0.06) -> None:
        """The range of y that shows all; kept back while the user has zoomed along y."""
        if high <= low:
            low, high = low - 0.5, high + 0.5
        pad = margin * (high - low)
        wanted = (low - pad, high + pad)
        self._y_range = wanted
        if not self._y_held:
            self.view.setYRange(*wanted, padding=0)

    @property
    def x_range(self) -> Range:
        low, high = self.view.viewRange()[0]
        return float(low), float(high)

    @property
    def extent(self) -> Range:
        return self._extent

    def points_across(self) -> int:
        """How many buckets a curve needs here: one a pixel."""
        return max(int(self.view.rect().width()), 64)

    def reset_zoom(self) -> None:
        self.user_zoomed, self._y_held = False, False
        self.view.setXRange(*self._extent, padding=0)
        self.view.setYRange(*self._y_range, padding=0)
        self.view_changed.emit()

    def zoom_to(self, first: float, last: float) -> None:
        """Shows these x as if the user had zoomed there."""
        self.user_zoomed = True
        self.view.setXRange(first, last, padding=0)
        self.view_changed.emit()

    def zoom_by(self, factor: float) -> None:
        """Shows `factor` of the x in view, the playhead where it is."""
        (low, high), (first, last) = self.x_range, self._extent
        at = min(max(self.playhead.x if self.playhead.x is not None else low, low), high)
        begin = at - factor * (at - low)
        width = factor * (high - low)
        if width >= last - first:
            self.reset_zoom()
        else:
            begin = min(max(begin, first), last - width)
            self.zoom_to(begin, begin + width)

    def _zoomed(self) -> None:
        self._y_held = self._y_held or tuple(self.view.viewRange()[1]) != self._y_range
        self.user_zoomed = True
        self.view_changed.emit()

    def paintEvent(self, ev: QPaintEvent | None) -> None:
        began = time.thread_time()
        super().paintEvent(ev)
        self.paint_s = max(time.thread_time() - began, 0.8 * self.paint_s)

    # mouse

    def _pressed(self, point: QPointF) -> None:
        self.step_clicked.emit(point)

    def _mouse_moved(self, position: QPointF) -> None:
        if self.hover_text is None or not self.view.sceneBoundingRect().contains(position):
            self._hide_hover()
            return
        point = self.view.mapSceneToView(position)
        text = self.hover_text(point.x(), point.y())
        if not text:
            self._hide_hover()
            return
        self.hover_line.move(point.x())
        self._show_hover(text, self.mapFromScene(position))

    def _show_hover(self, text: str, at: QPoint) -> None:
        self._hover.setText(text)
        self._hover.adjustSize()
        right = at.x() + 14 + self._hover.width() > self.width()
        x = at.x() - 14 - self._hover.width() if right else at.x() + 14
        y = min(max(at.y() - self._hover.height() - 8, 2), max(self.height() - self._hover.height() - 2, 2))
        self._hover.move(max(x, 0), y)
        self._hover.show()

    def _hide_hover(self) -> None:
        self._hover.hide()
        self.hover_line.move(None)

    def leaveEvent(self, ev: QEvent | None) -> None:
        self._hide_hover()
        super().leaveEvent(ev)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        if event is not None:
            event.ignore()  # the panel around the chart has the menu
