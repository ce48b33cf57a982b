"""What every panel has: it draws only what changed and only while visible, says what it waits for, and can be saved."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QBuffer, QRect, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QContextMenuEvent, QGuiApplication, QImage, QPainter, QShowEvent
from PyQt6.QtSvg import QSvgGenerator
from PyQt6.QtWidgets import QFileDialog, QLabel, QMenu, QStackedLayout, QVBoxLayout, QWidget

from convdebug_gui.controls import label
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme
from convdebug_sessions import SessionError

Table = list[tuple[str, np.ndarray]]


class Panel(QWidget):
    """One aspect of the run in view, up to the playhead. Subclasses say what they show and draw it."""

    name = ""
    title = ""
    waits_for = ""

    title_changed = pyqtSignal()

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.tools: list[QWidget] = []
        self.lasting_tools: list[QWidget] = []
        self.draws = 0
        self.last_drawn = 0.0
        self._cost_s = 0.0
        self._drawn_data: Hashable = None
        self._drawn_head: Hashable = None
        self.body = QWidget()
        self._note = label("", "dim", wrap=True)
        self._note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(_centred(self._note))
        self._stack.addWidget(self.body)
        self._say(self.waits_for)
        theme().changed.connect(self.forget_drawn)

    # for subclasses

    def ready(self) -> bool:
        """Whether there is anything to draw yet."""
        return True

    def data_key(self) -> Hashable:
        """Everything that the drawing depends on, besides the playhead."""
        return self.model.revision

    def head_key(self) -> Hashable:
        """What of the playhead the drawing depends on."""
        return self.model.step

    def draw_data(self) -> None:
        """Draws what does not move with the playhead."""

    def draw_head(self) -> None:
        """Draws what moves with the playhead."""

    def table(self) -> Table:
        """What the panel shows, as columns for a CSV file."""
        return []

    def full_title(self) -> str:
        return self.title

    # drawing when it is due

    @property
    def cost_s(self) -> float:
        """What drawing this again takes of late, with its painting."""
        return self._cost_s + sum(chart.paint_s for chart in self.charts)

    @cached_property
    def charts(self) -> list[Chart]:
        return self.findChildren(Chart)

    def forget_drawn(self) -> None:
        """Draws all again at the next frame."""
        self._drawn_data = self._drawn_head = None
        self.model.hurry()

    def due(self) -> bool:
        """Whether something visible here has changed; a dear panel waits in proportion to its cost."""
        if not self.isVisible() or time.monotonic() - self.last_drawn < 4 * self._cost_s - 0.03:
            return False
        try:
            return self._keys() != (self._drawn_data, self._drawn_head)
        except SessionError:
            return not self.is_empty  # the refresh says why

    def _keys(self) -> tuple[Hashable, Hashable]:
        run = self.model.run.id if self.model.run is not None else None
        look = (self.width(), self.height(), run, self.model.layer_filter)
        return (look, self.model.picked, self.data_key()), self.head_key()

    def refresh(self) -> None:
        """Draws what changed, now."""
        began = time.monotonic()
        try:
            data, head = self._keys()
            self._draw(data, head)
            self._drawn_data, self._drawn_head = data, head
        except SessionError as error:
            self._say(str(error))
            self._drawn_data = self._drawn_head = None
        self.draws += 1
        self.last_drawn = time.monotonic()
        self._cost_s = self.last_drawn - began

    def _draw(self, data: Hashable, head: Hashable) -> None:
        if self.model.run is None or not self.ready():
            self._say(self.waits_for if self._may_come() else self.never_came)
            return
        if self.is_empty:
            self._stack.setCurrentWidget(self.body)
            self.show_tools()
        if data != self._drawn_data:
            self.draw_data()
        if head != self._drawn_head or data != self._drawn_data:
            self.draw_head()

    def _may_come(self) -> bool:
        return self.model.run is None or self.model.run.status == "running"

    @property
    def never_came(self) -> str:
        """What is said where a run has ended without recording any of this."""
        return f"This run has ended and recorded nothing for “{self.title}”."

    def _say(self, text: str) -> None:
        self._note.setText(text)
        self._stack.setCurrentIndex(0)
        self.show_tools()

    def show_tools(self) -> None:
        """An empty panel has nothing to switch and no legend."""
        for tool in self.tools:
            if tool.parent() is not None:  # else it would become a window of its own
                tool.setVisible(not self.is_empty or tool in self.lasting_tools)

    @property
    def is_empty(self) -> bool:
        return self._stack.currentIndex() == 0

    @property
    def note(self) -> QLabel:
        return self._note

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.model.hurry()

    def watch_zoom(self, chart: Chart) -> None:
        """Draws again when the user zooms a chart, at the resolution of what is in view."""
        chart.view_changed.connect(self.model.hurry)

    # out of the window

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        if event is not None:
            self.menu().popup(event.globalPos())

    def menu(self) -> QMenu:
        """Save, copy, and back to the whole run; deletes itself when closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for words, ending in (("Save as PNG…", "png"), ("Save as SVG…", "svg"), ("Save the numbers as CSV…", "csv")):
            action = menu.addAction(words)
            assert action is not None
            action.setData(ending)
            action.setEnabled(not self.is_empty and (ending != "csv" or bool(self.table())))
            action.triggered.connect(self._ask_where)
        menu.addSeparator()
        for words, slot in (("Copy picture", self.copy_picture), ("Copy numbers", self.copy_numbers)):
            action = menu.addAction(words, slot)
            assert action is not None
            action.setEnabled(not self.is_empty)
        charts = self.findChildren(Chart)
        if charts:
            menu.addSeparator()
            menu.addAction("Show the whole run\tdouble click", self.reset_zoom)
        return menu

    def reset_zoom(self) -> None:
        for chart in self.findChildren(Chart):
            chart.reset_zoom()

    def _ask_where(self) -> None:
        action = self.sender()
        assert action is not None
        ending = str(action.data())  # type: ignore[attr-defined]
        dialog = QFileDialog(self, f"Save {self.title.lower()}", f"{self.name}.{ending}")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending)
        dialog.fileSelected.connect(self.save)
        dialog.open()

    def save(self, path: str) -> None:
        """Writes a picture or the numbers, by the ending of the path: png, svg, csv."""
        match Path(path).suffix.lower():
            case ".svg":
                self._save_svg(path)
            case ".csv":
                Path(path).write_text(self.numbers(), encoding="utf-8")
            case _:
                if not self.picture().save(path):
                    self.model.failed.emit(f"{path} could not be written")

    def picture(self, scale: float = 2.0) -> QImage:
        """The panel as a picture, at twice the size of the screen."""
        image = QImage((self.size().toSizeF() * scale).toSize(), QImage.Format.Format_ARGB32)
        image.setDevicePixelRatio(scale)
        image.fill(QColor(theme().tokens.panel))
        painter = QPainter(image)
        self.body.render(painter)
        painter.end()
        return image

    def _save_svg(self, path: str) -> None:
        buffer = QBuffer()
        generator = QSvgGenerator()
        generator.setOutputDevice(buffer)
        generator.setSize(QSize(self.width(), self.height()))
        generator.setViewBox(QRect(0, 0, self.width(), self.height()))
        generator.setTitle(self.full_title())
        painter = QPainter(generator)
        painter.fillRect(self.rect(), QColor(theme().tokens.panel))
        self.body.render(painter)
        painter.end()
        Path(path).write_bytes(buffer.data().data())

    def numbers(self) -> str:
        """The table as CSV text; columns may differ in length."""
        columns = self.table()
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([name for name, _values in columns])
        for row in range(max((len(values) for _name, values in columns), default=0)):
            writer.writerow([values[row] if row < len(values) else "" for _name, values in columns])
        return out.getvalue()

    def copy_picture(self) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setImage(self.picture())

    def copy_numbers(self) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.numbers())


def _centred(note: QLabel) -> QWidget:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(32, 16, 32, 16)
    column.addWidget(note, alignment=Qt.AlignmentFlag.AlignVCenter)
    return page


def joined(columns: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Table:
    """Curves (name, steps, values) as table columns."""
    result: Table = []
    for name, steps, values in columns:
        result += [(f"{name} step", steps), (name, values)]
    return result
