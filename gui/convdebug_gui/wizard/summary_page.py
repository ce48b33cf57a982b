"""The wizard's last page: the verdict over all checks, a line for each, and the report to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from convdebug_gui.controls import button, label
from convdebug_gui.wizard.marks import Mark
from convdebug_gui.wizard.verdicts import WORDS, CheckInfo, CheckState, verdict_words


class SummaryPage(QScrollArea):
    """All verdicts at a glance; each leads to its page."""

    page_wanted = pyqtSignal(str)
    report_wanted = pyqtSignal()
    train_wanted = pyqtSignal()
    session_wanted = pyqtSignal()

    def __init__(self, checks: Sequence[CheckInfo]) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.mark = Mark("pending", 22)
        self.words = label("", "headline", wrap=True)
        self.report_button = button("Save report …", "outline", "One HTML file with every verdict (Ctrl+S)")
        self.train_button = button("Train it now", "primary", "A run with the same configuration, live")
        self.session_button = button("Open the session", "", "The recorded runs of the checks in the main window")
        self.report_button.clicked.connect(self.report_wanted)
        self.train_button.clicked.connect(self.train_wanted)
        self.session_button.clicked.connect(self.session_wanted)
        self.note = label("", "dim", wrap=True)
        self.note.setTextFormat(Qt.TextFormat.RichText)
        self.note.setOpenExternalLinks(True)
        self.note.hide()
        self._marks: dict[str, Mark] = {}
        self._titles: dict[str, QPushButton] = {}
        self._sentences = {check.id: label("", "dim", wrap=True) for check in checks}
        self._lay_out(checks)
        self.show_states({check.id: CheckState(check.id) for check in checks}, recorded=False)

    def _lay_out(self, checks: Sequence[CheckInfo]) -> None:
        page = QWidget()
        page.setProperty("role", "scrolled")
        layout = QVBoxLayout(page)
        layout.setContentsMargins(32, 28, 32, 28)
        layout.setSpacing(12)
        heading = QHBoxLayout()
        heading.setSpacing(10)
        heading.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignTop)
        heading.addWidget(self.words, 1)
        layout.addLayout(heading)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for each in (self.train_button, self.report_button, self.session_button):
            buttons.addWidget(each)
        buttons.addStretch(1)
        layout.addLayout(buttons)
        layout.addWidget(self.note)
        layout.addSpacing(8)
        layout.addLayout(self._table(checks))
        layout.addStretch(1)
        self.setWidget(page)

    def _table(self, checks: Sequence[CheckInfo]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(10)
        for row, check in enumerate(checks):
            self._marks[check.id] = mark = Mark("pending", 16)
            self._titles[check.id] = title = button(check.title, "row", f"To the page of {check.title}")
            title.setObjectName(check.id)
            title.clicked.connect(self._leave_for)
            top = Qt.AlignmentFlag.AlignTop
            grid.addWidget(mark, row, 0, top)
            grid.addWidget(title, row, 1, top)
            grid.addWidget(self._sentences[check.id], row, 2, top)
        grid.setColumnStretch(2, 1)
        return grid

    def _leave_for(self) -> None:
        title = self.sender()
        if isinstance(title, QPushButton):
            self.page_wanted.emit(title.objectName())

    def show_states(self, found: Mapping[str, CheckState], recorded: bool) -> None:
        """Show all verdicts; without anything recorded there is nothing to save or open."""
        status, words = verdict_words(list(found.values()))
        self.mark.show_status(status)
        self.words.setText(words)
        for id, state in found.items():
            self._marks[id].show_status(state.status, state.done / state.total if state.total else None)
            self._sentences[id].setText(state.summary or WORDS.get(state.status, ""))
        self.report_button.setEnabled(recorded)
        self.session_button.setEnabled(recorded)

    def show_note(self, text: str) -> None:
        """A word about the report: where it is, or why it is not."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
