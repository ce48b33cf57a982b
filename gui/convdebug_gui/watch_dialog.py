"""Watching a script of one's own: the command for it, or the two lines, and waiting for its first step."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QDialog, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from convdebug_gui.controls import ElidedLabel, button, label
from convdebug_gui.places import SUFFIX, sessions_folder
from convdebug_gui.theme import theme
from convdebug_sessions import Session, SessionError

LOOK_MS = 300
LINES = """import convdebug

with convdebug.watch(model, optimizer) as watched:
    for inputs, labels in loader:
        loss = loss_fn(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watched.step(loss)"""
COMMAND = "convdebug run SCRIPT.py [ARGUMENTS]"
UNCHANGED = "Start your script with convdebug instead of python; nothing in it is changed:"
WORDS = (
    "Or put these two lines around your own training loop, one before it and one behind each update, and start your "
    "script as ever. Either way its weights come out bit for bit the same."
)
WAITING = "Waiting for its first step; then it is shown here, live. Its session will be in"


class WatchDialog(QDialog):
    """Shows what a script needs and tells of the session that it begins; escape leaves."""

    found = pyqtSignal(object)
    open_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Watch a script")
        self.setModal(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._folder = sessions_folder()
        self._before = self._sessions()
        self.copy_button = button("Copy the lines", "primary", "Put them into the clipboard")
        self.open_button = button("Open a session …", "", "One that runs already, or was recorded somewhere else")
        self.cancel_button = button("Cancel", "quiet", "Back (Esc)")
        self.copy_button.clicked.connect(self._copy)
        self.open_button.clicked.connect(self._open)
        self.cancel_button.clicked.connect(self.reject)
        self.folder_words = ElidedLabel(str(self._folder), "small-number")
        self._lay_out()
        self._looking = QTimer(self)
        self._looking.setInterval(LOOK_MS)
        self._looking.timeout.connect(self.look)
        self._looking.start()
        self.finished.connect(self._looking.stop)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 20)
        layout.setSpacing(12)
        layout.addWidget(label("Watch a script", "headline"))
        for words, code in ((UNCHANGED, COMMAND), (WORDS, LINES)):
            layout.addWidget(label(words, "", wrap=True))
            layout.addWidget(_card(code))
        layout.addWidget(label(WAITING, "dim", wrap=True))
        layout.addWidget(self.folder_words)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.cancel_button)
        row.addStretch(1)
        row.addWidget(self.open_button)
        row.addWidget(self.copy_button)
        layout.addLayout(row)
        self.setFixedWidth(theme().pixels(560))

    def _sessions(self) -> set[Path]:
        return set(self._folder.glob(f"*{SUFFIX}"))

    def look(self) -> None:
        """A session that was not there before and has made a step is the one that is waited for."""
        for path in sorted(self._sessions() - self._before):
            if _steps(path):
                self.found.emit(path)
                self.accept()
                return

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(LINES)
            self.copy_button.setText("Copied")

    def _open(self) -> None:
        self.reject()
        self.open_wanted.emit()


def _card(code: str) -> QFrame:
    frame = QFrame()
    frame.setProperty("role", "card")
    inner = QVBoxLayout(frame)
    inner.setContentsMargins(16, 12, 16, 12)
    text = label(code, "number")
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    inner.addWidget(text)
    return frame


def _steps(path: Path) -> int:
    """How many steps a session's last run has made; none while it is being made."""
    try:
        with Session.open(path) as session:
            return session.runs[-1].steps if session.runs else 0
    except SessionError:
        return 0
