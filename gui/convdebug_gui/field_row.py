"""One row of the run form: a label, an editor made for the field's kind, and what is wrong beneath it."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QAction, QColor, QIcon, QPainter, QPixmap, QWheelEvent
from PyQt6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLineEdit, QSizePolicy, QWidget

from convdebug_gui.controls import ElidedLabel, label
from convdebug_gui.fields import Field, parse, shown
from convdebug_gui.theme import theme

EDITOR_WIDTH = 108
WIDEST_EDITOR = 168


class QuietCombo(QComboBox):
    """A combo box as wide as what it shows, that leaves the wheel to the scrolling form unless it has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.currentTextChanged.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        text = max(self.fontMetrics().horizontalAdvance(self.currentText()), theme().pixels(28))
        beside = theme().pixels(68 if self.isEditable() else 58)
        return QSize(min(text + beside, theme().pixels(WIDEST_EDITOR)), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()


class FieldRow(QWidget):
    """Shows one `Field`; tells of every change at once and of a finished edit by `committed`."""

    changed = pyqtSignal()
    committed = pyqtSignal(object)

    def __init__(self, field: Field, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.usual: Any = field.default
        self.value: Any = field.default
        self.problem = ""
        self._remark = self._words = ""
        self._live_dot: QAction | None = None
        self._committed_text = shown(field.default)
        self.label = ElidedLabel(field.title, "dim")
        self.editor = self._make_editor()
        self.label.setBuddy(self.editor)
        self.error = label("", "problem", wrap=True)
        self.error.hide()
        self._lay_out()
        self._describe()

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(2)
        layout.addWidget(self.label, 0, 0)
        layout.addWidget(self.editor, 0, 1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.error, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)

    def add_words(self, words: str) -> None:
        """What the chosen name stands for, into the tooltip."""
        if words != self._words:
            self._words = words
            self._describe()

    def _describe(self) -> None:
        field = self.field
        lines = [f"{field.title}: {field.description}" if field.description else field.title]
        if self._words:
            lines.append(f"{shown(self.value)}: {self._words}")
        lines.append(f"{field.key} = {shown(self.usual) or 'none'} unless changed")
        if field.unit:
            lines.append(f"unit: {field.unit}")
        if field.live:
            lines.append("● may be changed while the run goes on")
        for widget in (self, self.editor):
            widget.setToolTip("\n".join(lines))
        self.editor.setAccessibleName(field.title)
        self.editor.setAccessibleDescription(field.description)

    def _make_editor(self) -> QWidget:
        if self.field.kind == "switch":
            return self._switch()
        return self._combo() if self.field.kind == "choice" else self._line()

    def _switch(self) -> QWidget:
        switch = QCheckBox()
        switch.setChecked(bool(self.field.default))
        switch.toggled.connect(self._edited)
        switch.toggled.connect(self._finished)
        return switch

    def _combo(self) -> QWidget:
        combo = QuietCombo()
        combo.setEditable(self.field.open_ended)
        combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        combo.addItems([*([""] if self.field.optional else []), *self.field.choices])
        combo.setCurrentText(shown(self.field.default))
        combo.setProperty("role", "number")
        combo.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        combo.currentTextChanged.connect(self._edited)
        combo.activated.connect(self._finished)
        if (line := combo.lineEdit()) is not None:
            line.editingFinished.connect(self._finished)
        return combo

    def _line(self) -> QWidget:
        line = QLineEdit(shown(self.field.default))
        line.setFixedWidth(theme().pixels(EDITOR_WIDTH))
        line.setProperty("role", "number")
        if self.field.kind in ("number", "integer"):
            line.setAlignment(Qt.AlignmentFlag.AlignRight)
        line.setPlaceholderText("none" if self.field.optional else "")
        if self.field.live:
            self._live_dot = line.addAction(dot_icon(), QLineEdit.ActionPosition.TrailingPosition)
            theme().changed.connect(self._paint_dot)
        line.textChanged.connect(self._edited)
        line.editingFinished.connect(self._finished)
        return line

    def _paint_dot(self) -> None:
        if self._live_dot is not None:
            self._live_dot.setIcon(dot_icon())

    @property
    def text(self) -> str:
        if isinstance(self.editor, QCheckBox):
            return "true" if self.editor.isChecked() else "false"
        if isinstance(self.editor, QComboBox):
            return self.editor.currentText()
        return self.editor.text() if isinstance(self.editor, QLineEdit) else ""

    def set_value(self, value: Any) -> None:
        """Show a value without telling of it as an edit; what the field cannot hold is shown with what is wrong."""
        self.blockSignals(True)
        if isinstance(self.editor, QCheckBox):
            self.editor.setChecked(bool(value))
        elif isinstance(self.editor, QComboBox):
            self._choose(shown(value))
        elif isinstance(self.editor, QLineEdit):
            self.editor.setText(shown(value))
            self.editor.setCursorPosition(0)
        self._edited()
        self._committed_text = self.text
        self.blockSignals(False)

    def _choose(self, text: str) -> None:
        combo = self.editor
        assert isinstance(combo, QComboBox)
        if not combo.isEditable() and combo.findText(text) < 0:
            combo.addItem(text)
        combo.setCurrentText(text)

    def follow(self, value: Any) -> None:
        """Show a value that the run itself took, unless it stands here already."""
        if value != self.value or self.problem:
            self.set_value(value)

    def set_remark(self, text: str) -> None:
        """What the engine had to say about this field; the next edit takes it away."""
        self._remark = text
        self._show_problem()

    def _edited(self) -> None:
        self._remark = ""
        try:
            self.value = parse(self.field, self.text)
            self.problem = ""
        except ValueError as error:
            self.problem = str(error)
        self._show_problem()
        self.changed.emit()

    def _finished(self) -> None:
        if not self.problem and self.text != self._committed_text:
            self._committed_text = self.text
            self.committed.emit(self)

    def _show_problem(self) -> None:
        words = self.problem or self._remark
        self.error.setText(words)
        self.error.setVisible(bool(words))
        mark_problem(self.editor, bool(words))

    @property
    def differs(self) -> bool:
        """Whether the value is another than what stands here when nothing is given."""
        return bool(self.value != self.usual)

    def set_usual(self, usual: Any) -> None:
        """What stands here when nothing is given; a field left alone follows it."""
        if usual == self.usual:
            return
        alone = not self.differs and not self.problem
        self.usual = usual
        if alone:
            self.set_value(usual)


def mark_problem(editor: QWidget, wrong: bool) -> None:
    """Give an editor the red edge, or take it away."""
    editor.setProperty("problem", wrong)
    style = editor.style()
    assert style is not None
    style.unpolish(editor)
    style.polish(editor)


def dot_icon() -> QIcon:
    """The mark of what may change while the run goes on."""
    pixmap = QPixmap(64, 64)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme().tokens.dim))
    painter.drawEllipse(18, 18, 28, 28)
    painter.end()
    return QIcon(pixmap)
