"""The page of one check: what it asks and why, how far it is, its curve, the verdict with numbers, the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPaintEvent
from PyQt6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from convdebug_gui.controls import button, label
from convdebug_gui.theme import theme
from convdebug_gui.wizard.curves import Picture
from convdebug_gui.wizard.marks import Mark, status_color
from convdebug_gui.wizard.small_plot import SmallPlot
from convdebug_gui.wizard.verdicts import WORDS, CheckInfo, CheckState, figures

SEVERITY_STATUS = {"error": "fail", "warning": "warn", "info": "running"}


class EdgeCard(QFrame):
    """A card whose left edge carries a status colour, 3 pixels wide."""

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status = status
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(16, 12, 16, 12)
        self.body.setSpacing(6)
        theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.update()  # a method of our own: Qt's would be called after the widget's end

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        tokens = theme().tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QColor(tokens.line))
        painter.setBrush(QColor(tokens.panel))
        painter.drawRoundedRect(box, 6, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(status_color(self.status)))
        painter.setClipRect(QRectF(0, 0, 3, self.height()))
        painter.drawRoundedRect(box, 6, 6)
        painter.end()


class CheckPage(QScrollArea):
    """One check; what one wants of it is a signal with its id."""

    run_wanted = pyqtSignal(str)
    skip_wanted = pyqtSignal(str)
    stop_wanted = pyqtSignal()

    def __init__(self, info: CheckInfo) -> None:
        super().__init__()
        self.info = info
        self.state = CheckState(info.id)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.mark = Mark("pending", 22)
        self.verdict = label("", "dim")
        self.run_button = button("Run this check", "primary")
        self.run_button.clicked.connect(self._run)
        self.skip_button = button("Skip", "", "Leave this check out and go on")
        self.skip_button.clicked.connect(self._skip)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of this check")
        self.progress_text = label("", "small-number")
        self.plot = SmallPlot()
        self._results = QVBoxLayout()
        self._results.setSpacing(12)
        self._shown_result: Any = None
        self._lay_out()
        self.show_state(self.state, busy=False)

    def _lay_out(self) -> None:
        page = QWidget()
        page.setProperty("role", "scrolled")
        layout = QVBoxLayout(page)
        layout.setContentsMargins(32, 28, 32, 28)
        layout.setSpacing(8)
        layout.addLayout(self._heading())
        layout.addWidget(label(self.info.asks, "", wrap=True))
        layout.addWidget(label(self.info.why, "dim", wrap=True))
        if self.info.source:
            layout.addWidget(label(f"From: {self.info.source}", "caption", wrap=True))
        layout.addSpacing(8)
        layout.addLayout(self._progress_row())
        layout.addSpacing(4)
        layout.addLayout(self._results)
        self._frame = QFrame()
        self._frame.setProperty("role", "card")
        inner = QVBoxLayout(self._frame)
        inner.setContentsMargins(12, 10, 12, 6)
        inner.addWidget(self.plot)
        self._frame.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout.addWidget(self._frame, 100)
        layout.addStretch(1)
        self.setWidget(page)

    def _heading(self) -> QHBoxLayout:
        heading = QHBoxLayout()
        heading.setSpacing(10)
        heading.addWidget(self.mark)
        heading.addWidget(label(self.info.title, "headline"))
        heading.addWidget(self.verdict)
        heading.addStretch(1)
        heading.addWidget(self.skip_button)
        heading.addWidget(self.run_button)
        return heading

    def _progress_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.progress, 1)
        row.addWidget(self.progress_text)
        return row

    def _run(self) -> None:
        if self.state.status == "running":
            self.stop_wanted.emit()
        else:
            self.run_wanted.emit(self.info.id)

    def _skip(self) -> None:
        self.skip_wanted.emit(self.info.id)

    def show_state(self, state: CheckState, busy: bool) -> None:
        """Show how the check stands; while another one is busy this one cannot be started."""
        self.state = state
        running = state.status == "running"
        share = state.done / state.total if state.total else None
        self.mark.show_status(state.status, share)
        seconds = state.result.get("seconds")
        took = f" in {seconds:.1f} s" if isinstance(seconds, float) else ""
        self.verdict.setText(WORDS.get(state.status, state.status) + took)
        self.run_button.setText("Stop" if running else "Run again" if state.finished else "Run this check")
        self.run_button.setEnabled(running or not busy)
        self.skip_button.setToolTip("Interrupt this check and go on" if running else "Leave this check out and go on")
        self._show_progress(state)
        self._show_result(state)

    def _show_progress(self, state: CheckState) -> None:
        running = state.status == "running"
        for widget in (self.progress, self.progress_text):
            widget.setVisible(running)
        self.progress.setRange(0, int(state.total) if running and state.total else 0)
        self.progress.setValue(int(state.done))
        of = f"{state.done:g} of {state.total:g}" if state.total else ""
        self.progress_text.setText(" · ".join(part for part in (state.text, of) if part) or "starting …")

    def show_picture(self, picture: Picture | None) -> None:
        self.plot.show_picture(picture, "Its curve is drawn here while it runs.")
        self._frame.setVisible(picture is not None or not self.state.finished)
        least, most = (280, 640) if picture is not None else (120, 120)
        self._frame.setMinimumHeight(theme().pixels(least))
        self._frame.setMaximumHeight(theme().pixels(most))

    def _show_result(self, state: CheckState) -> None:
        key = (state.run, state.status, state.summary)
        if key == self._shown_result:
            return
        self._shown_result = key
        while (item := self._results.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        if state.summary:
            self._results.addWidget(summary_card(state))
        for diagnosis in state.result.get("diagnoses") or ():
            self._results.addWidget(diagnosis_card(diagnosis))


def summary_card(state: CheckState) -> EdgeCard:
    """The verdict in one sentence, and what was measured beside what was expected."""
    card = EdgeCard(state.status)
    card.body.addWidget(_wrapped(state.summary))
    measured, expected = figures(state.result.get("measured") or {}), figures(state.result.get("expected") or {})
    if measured:
        card.body.addLayout(_table(measured, expected))
    return card


def _table(measured: dict[str, str], expected: dict[str, str]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(20)
    grid.setVerticalSpacing(2)
    for row, (name, words) in enumerate(list(measured.items())[:8]):
        grid.addWidget(label(name, "caption"), row, 0)
        grid.addWidget(label(words, "number"), row, 1)
        wanted = expected.get(name)
        grid.addWidget(label(f"expected {wanted}" if wanted else "", "caption"), row, 2)
    grid.setColumnStretch(3, 1)
    return grid


def diagnosis_card(diagnosis: Mapping[str, Any]) -> EdgeCard:
    """A diagnosis with its remedies."""
    card = EdgeCard(SEVERITY_STATUS.get(str(diagnosis.get("severity")), "running"))
    layer = diagnosis.get("layer")
    title = str(diagnosis.get("title") or diagnosis.get("rule"))
    card.body.addWidget(label(f"{title} · {layer}" if layer else title, "title"))
    card.body.addWidget(_wrapped(str(diagnosis.get("message", "")), "dim"))
    for remedy in diagnosis.get("remedies") or ():
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label("→", "good"), 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(_wrapped(str(remedy.get("text", ""))), 1)
        card.body.addLayout(row)
    return card


def _wrapped(text: str, role: str = "") -> QLabel:
    result = label(text, role, wrap=True)
    result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return result
