"""The banner for bad news, and the question when a window is closed over a training that goes on."""

from __future__ import annotations

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QGuiApplication, QPainter, QPaintEvent
from PyQt6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from convdebug_gui.controls import IconButton, button, label
from convdebug_gui.notices import Notice
from convdebug_gui.theme import theme


class Banner(QFrame):
    """One notice across the top of the window, with the traceback at hand; hidden while all is well."""

    run_again = pyqtSignal()
    dismissed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.notice: Notice | None = None
        self.title = label("", "title")
        self.words = label("", "", wrap=True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.safe = label("", "dim", wrap=True)
        self.again = button("Run again", "small-outline", "Start a run with what the form says now")
        self.again.clicked.connect(self.run_again)
        self.more = button("Traceback", "small", "What the engine said last")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._turn)
        self.copy = button("Copy", "small", "Copy everything to the clipboard")
        self.copy.clicked.connect(self._copy)
        self.close_button = IconButton("x", "Put this message away")
        self.close_button.clicked.connect(self.dismiss)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setFont(theme().font("small-number"))
        self.details.setAccessibleName("What the engine said last")
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._lay_out()
        self.hide()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.title, 1)
        for widget in (self.again, self.more, self.copy, self.close_button):
            head.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 10, 12, 12)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.words)
        layout.addWidget(self.safe)
        layout.addWidget(self.details)

    def show_notice(self, notice: Notice | None) -> None:
        """Show bad news; None takes the banner away."""
        self.notice = notice
        if notice is None:
            self.hide()
            return
        self.title.setText(notice.title)
        self.words.setText(notice.happened)
        self.safe.setText(f"{notice.safe} {notice.advice}")
        self.details.setPlainText(notice.details)
        self.again.setVisible(notice.again)
        self.more.setVisible(bool(notice.details))
        self.more.setChecked(False)
        self._turn(False)
        self.setAccessibleName(f"{notice.title}. {notice.happened} {notice.safe} {notice.advice}")
        self.show()
        self.update()

    def dismiss(self) -> None:
        self.show_notice(None)
        self.dismissed.emit()

    def _turn(self, opened: bool) -> None:
        self.details.setVisible(opened)
        self._fit_details()
        bar = self.details.verticalScrollBar()
        if opened and bar is not None:
            bar.setValue(bar.maximum())

    def _fit_details(self) -> None:
        """As high as its lines, and never more than a fifth of a usual window."""
        lines = self.details.blockCount() * self.details.fontMetrics().lineSpacing()
        self.details.setFixedHeight(min(lines + theme().pixels(36), theme().pixels(180)))

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None and self.notice is not None:
            n = self.notice
            clipboard.setText("\n".join(part for part in (n.title, n.happened, n.safe, n.advice, n.details) if part))

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        tokens = theme().tokens
        color = tokens.severity(self.notice.severity if self.notice is not None else "error")
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tokens.panel))
        painter.fillRect(QRectF(0, 0, 3, self.height()), QColor(color))
        painter.fillRect(QRectF(0, self.height() - 1, self.width(), 1), QColor(tokens.line))
        painter.end()


class CloseQuestion(QDialog):
    """A training goes on: stop it, let it go on without the window, or stay."""

    stop = pyqtSignal()
    go_on = pyqtSignal()

    def __init__(self, name: str, progress: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("A training is going on")
        self.setModal(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.stop_button = button("Stop the training", "", "It ends cleanly; everything recorded is kept")
        self.go_on_button = button("Go on without the window", "primary", "Open its session later to see it again")
        self.stay_button = button("Stay here", "quiet", "Keep the window open (Esc)")
        self.stop_button.clicked.connect(self._stop)
        self.go_on_button.clicked.connect(self._go_on)
        self.stay_button.clicked.connect(self.reject)
        self.go_on_button.setDefault(True)
        self._lay_out(name, progress)

    def _lay_out(self, name: str, progress: str) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 20)
        layout.setSpacing(8)
        layout.addWidget(label("A training is going on", "headline"))
        layout.addWidget(label(f"{name} · {progress}" if progress else name, "small-number"))
        words = (
            "It can stop here, with everything recorded so far kept. Or it goes on without the window: "
            "open its session later, from the welcome page, and you are back at it, live."
        )
        layout.addWidget(label(words, "dim", wrap=True))
        layout.addSpacing(12)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.stay_button)
        row.addStretch(1)
        row.addWidget(self.stop_button)
        row.addWidget(self.go_on_button)
        layout.addLayout(row)
        self.setFixedWidth(theme().pixels(520))

    def _stop(self) -> None:
        self.stop.emit()
        self.accept()

    def _go_on(self) -> None:
        self.go_on.emit()
        self.accept()
