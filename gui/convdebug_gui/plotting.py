"""The chart that every panel draws on: no box, horizontal grid lines, few ticks, playhead, hover, kept zoom."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyqtgraph as pg
from PyQt6.QtCore import QEvent, QPoint, QPointF, Qt, pyqtSignal
from PyQt6.QtGui import QContextMenuEvent, QPaintEvent
from PyQt6.QtWidgets import QGraphicsSceneWheelEvent, QLabel

from convdebug_gui.axis import Axis
from convdebug_gui.plot_items import Grid, HoverLine, Marks, PlayheadLine
from convdebug_gui.theme import theme

pg.setConfigOptions(antialias=True, useOpenGL=False)

Range = tuple[float, float]


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
