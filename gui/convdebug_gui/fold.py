"""The advanced fields of a group of the form, folded away."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from convdebug_gui.controls import button


class Fold(QWidget):
    """The advanced fields of a group, out of sight until they are asked for or one of them needs a look."""

    def __init__(self, group: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._group = group
        self.button = button("", "link", f"Everything else that can be set about {group}")
        self.button.setCheckable(True)
        self.button.setAccessibleName(f"More fields of {group}")
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(0, 4, 0, 0)
        self.rows.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.body)
        self.button.toggled.connect(self._turn)
        self._turn(False)

    def _turn(self, opened: bool) -> None:
        self.body.setVisible(opened)
        self.button.setText("Less" if opened else "More …")

    def open(self) -> None:
        self.button.setChecked(True)
