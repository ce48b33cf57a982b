"""One value that changes while a training goes on: typed or turned, wished, and shown as it is in force."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import QEvent, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QLineEdit, QWidget

from convdebug_gui.field_row import mark_problem
from convdebug_gui.fields import Field, parse, shown
from convdebug_gui.theme import theme

FIELD_WIDTH = 76


class LiveField(QLineEdit):
    """One value that changes live: Enter wishes it, Escape takes it back, up and down turn it."""

    wished = pyqtSignal(str, object)

    def __init__(self, field: Field, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self._in_force: Any = None
        self._awaited: Any = None
        self.setProperty("role", "number")
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setAccessibleName(field.title)
        self.setFixedWidth(theme().pixels(FIELD_WIDTH))
        self._say("")
        self.textEdited.connect(self._check)
        self.returnPressed.connect(self.wish)

    def show_value(self, value: Any) -> None:
        """The value in force; what is being typed is left alone."""
        arrived = self._awaited is not None and _same(value, self._awaited)
        if arrived:
            self._awaited = None
            self._say("")
        if value == self._in_force and not arrived:
            return
        self._in_force = value
        if not (self.hasFocus() and self.isModified()) and self._awaited is None:
            self.setText(shown(value))
            self.setCursorPosition(0)

    def wish(self) -> None:
        """Ask for what is typed, where it is a value."""
        if not self._check():
            return
        value = parse(self.field, self.text())
        self.setModified(False)
        if not _same(value, self._in_force):
            self._awaited = value
            self._say(f"asked for {shown(value)}; the run takes it at its next step")
            self.wished.emit(self.field.key, value)

    def take_back(self) -> None:
        self._awaited = None
        self.setText(shown(self._in_force))
        self.setModified(False)
        self._check()

    def forget(self) -> None:
        """No run is going on: nothing is in force and nothing awaited."""
        self._awaited = None
        self._say("")

    def say_fixed(self, words: str) -> None:
        """Why this value cannot be changed; empty where it can."""
        if words:
            self._say(words)

    def _check(self) -> bool:
        try:
            parse(self.field, self.text())
        except ValueError as error:
            mark_problem(self, True)
            self._say(str(error))
            return False
        mark_problem(self, False)
        self._say("")
        return True

    def _say(self, words: str) -> None:
        self.setToolTip("\n".join(part for part in (f"{self.field.title} ({self.field.key})", words, HINT) if part))

    def event(self, event: QEvent | None) -> bool:
        """Escape belongs to this field while it has the keyboard, not to the window."""
        escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if escape and event is not None and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            if self.isModified():
                self.take_back()
            else:
                self.clearFocus()
        elif event is not None and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._turn(up=event.key() == Qt.Key.Key_Up)
        else:
            super().keyPressEvent(event)

    def _turn(self, up: bool) -> None:
        try:
            value = parse(self.field, self.text())
        except ValueError:
            return
        self.setText(shown(turned(self.field, value, up)))
        self.setModified(True)
        self._check()


HINT = "Enter: change it now · Esc: back, and out · ↑ ↓: turn it (Ctrl+L: to the rate)"


def turned(field: Field, value: float, up: bool) -> float:
    """The next value up or down: rates by half a decade, shares by 0.05, batches by doubling."""
    if field.kind == "integer":
        return max(1, int(value * 2 if up else value / 2))
    if field.below == 1:
        return min(0.99, max(0.0, round(value + (0.05 if up else -0.05), 2)))
    if value == 0:
        return 1e-4 if up else 0.0
    return float(f"{value * 10**0.5 if up else value / 10**0.5:.1e}")


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return abs(float(first) - float(second)) <= 1e-5 * max(abs(float(first)), abs(float(second)))
