"""The guided sanity checks: the list of pages at the left, one page in view, the form of what is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt, QUrl, pyqtSignal
from PyQt6.QtGui import QKeySequence, QShortcut
from PyQt6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from convdebug_gui.banner import Banner
from convdebug_gui.controls import button, label
from convdebug_gui.description import Description
from convdebug_gui.engine_process import Ending, EngineProcess, Outcome
from convdebug_gui.notices import of_outcome
from convdebug_gui.places import new_session
from convdebug_gui.run_form import RunForm
from convdebug_gui.theme import theme
from convdebug_gui.wizard.check_list import CheckList
from convdebug_gui.wizard.check_page import CheckPage
from convdebug_gui.wizard.check_runs import CheckRuns
from convdebug_gui.wizard.setup_page import SetupPage
from convdebug_gui.wizard.summary_page import SummaryPage
from convdebug_gui.wizard.verdicts import CheckInfo, infos

SETUP, SUMMARY = "setup", "summary"
LEAST_SECONDS = 10


class Wizard(QWidget):
    """All pages of the guided checks; leaving it, training on, and opening its session are signals."""

    leave_wanted = pyqtSignal()
    train_wanted = pyqtSignal()
    session_wanted = pyqtSignal(object)
    ended = pyqtSignal(object)

    def __init__(self, description: Description, folder: Path | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._folder = folder
        self._description = description
        self._following = True
        self._report = Path()
        self._awaited: dict[str, Any] | None = None
        self.path: Path | None = None
        self.checks: list[CheckInfo] = []
        self.pages: dict[str, CheckPage] = {}
        self.summary: SummaryPage | None = None
        self.runs = CheckRuns(self)
        self.exporter = EngineProcess(self)
        self.form = RunForm()
        self.setup = SetupPage(self.form)
        self.list = CheckList()
        self.banner = Banner()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.setup)
        self._lay_out()
        self._connect()
        self._take_description()

    def _lay_out(self) -> None:
        self._form_side = QWidget()
        side = QHBoxLayout(self._form_side)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(0)
        side.addWidget(_edge())
        side.addWidget(self.form)
        self._form_side.setFixedWidth(theme().pixels(300))
        row = QHBoxLayout()
        row.setSpacing(0)
        parts = ((self._make_rail(), 0), (_edge(), 0), (self.stack, 1), (self._form_side, 0))
        for widget, stretch in parts:
            row.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.banner)
        layout.addLayout(row, 1)

    def _make_rail(self) -> QWidget:
        self.back = button("‹ convdebug", "quiet", "To the welcome page (Alt+Home)")
        self.run_all = button("Start the checks", "", "Run all checks in order (Ctrl+R)")
        self.stop_button = button("Stop", "", "Stop after the step at hand; verdicts so far are kept")
        rail = QWidget()
        rail.setFixedWidth(theme().pixels(308))
        self._rail = QVBoxLayout(rail)
        self._rail.setContentsMargins(12, 12, 12, 16)
        self._rail.setSpacing(8)
        self._rail.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
        caption = label("SANITY CHECKS", "section")
        caption.setContentsMargins(10, 8, 0, 4)
        self._rail.addWidget(caption)
        self._list_area = _scrolling(self.list)
        self._rail.addWidget(self._list_area, 1)
        self._rail.addWidget(self.run_all)
        self._rail.addWidget(self.stop_button)
        return rail

    def _connect(self) -> None:
        self._description.ready.connect(self._take_description)
        self._description.failed.connect(self._show_outcome)
        self.back.clicked.connect(self.leave_wanted)
        self.run_all.clicked.connect(self.start_all)
        self.stop_button.clicked.connect(self.runs.stop)
        self.setup.start_wanted.connect(self.start_all)
        self.form.changed.connect(self._offer)
        self.list.chosen.connect(self._choose)
        self.banner.run_again.connect(self.start_all)
        self.runs.changed.connect(self._refresh)
        self.runs.ended.connect(self._on_ended)
        self.exporter.finished.connect(self._on_exported)
        QShortcut(QKeySequence("Ctrl+R"), self, self.start_all)
        QShortcut(QKeySequence("Ctrl+S"), self, self.ask_report)

    def _take_description(self) -> None:
        """Draw the form and one page a check, as soon as the engine has told of them."""
        if not self._description.data:
            return
        self.form.set_description(self._description.data)
        checks = infos(self._description.data)
        if checks and checks != self.checks:
            self._make_pages(checks)
        self._offer()
        self._start_awaited()

    def _make_pages(self, checks: list[CheckInfo]) -> None:
        for page in (*self.pages.values(), self.summary):
            if page is not None:
                self.stack.removeWidget(page)
                page.deleteLater()
        self.checks = checks
        self.pages = {check.id: CheckPage(check) for check in checks}
        self.summary = SummaryPage(checks)
        for page in self.pages.values():
            page.run_wanted.connect(self.start_one)
            page.skip_wanted.connect(self.skip)
            page.stop_wanted.connect(self.runs.stop)
            self.stack.addWidget(page)
        self.summary.page_wanted.connect(self._choose)
        self.summary.report_wanted.connect(self.ask_report)
        self.summary.train_wanted.connect(self.train_wanted)
        self.summary.session_wanted.connect(self._open_session)
        self.stack.addWidget(self.summary)
        self._make_list(checks)
        self.runs.know([check.id for check in checks])
        self.show_page(SETUP)

    def _make_list(self, checks: Sequence[CheckInfo]) -> None:
        titles = [(check.id, check.title) for check in checks]
        self.list = CheckList([(SETUP, "What is checked"), *titles, (SUMMARY, "Summary")])
        self.list.chosen.connect(self._choose)
        self._list_area.setWidget(_on_top(self.list))

    # which page

    @property
    def page(self) -> str:
        """The id of the page in view."""
        widget = self.stack.currentWidget()
        if widget is self.summary:
            return SUMMARY
        return next((id for id, page in self.pages.items() if page is widget), SETUP)

    def show_page(self, id: str) -> None:
        widget = self.summary if id == SUMMARY else self.pages.get(id, self.setup)
        if widget is not None:
            self.stack.setCurrentWidget(widget)
        self._form_side.setVisible(id == SETUP)
        if id in self.list.rows:
            self.list.choose(id)
            self._list_area.ensureWidgetVisible(self.list.rows[id])
        self._refresh_page()

    def _choose(self, id: str) -> None:
        """The person turns to a page; whoever looks at the running check follows it on."""
        self._following = id == self.runs.running
        self.show_page(id)

    # running

    def start_all(self) -> None:
        """Run every check that has no verdict yet, or all of them anew where each has one."""
        self.start(self.runs.rest())

    def begin_demo(self, values: Mapping[str, Any], path: Path | None) -> None:
        """Run everything by itself on these values; where the form is not there yet, as soon as it is."""
        self.path = path
        self.setup.budget.choose("quick")
        self._awaited = dict(values)
        self._start_awaited()

    def _start_awaited(self) -> None:
        if self._awaited is not None and self.checks:
            values, self._awaited = self._awaited, None
            self.form.target.clear()
            self.form.load(values)
            self.start([check.id for check in self.checks])

    def start_one(self, id: str) -> None:
        """Run one check, again where it was run before."""
        self.runs.left_out.discard(id)
        self.start([id])

    def start(self, ids: Sequence[str]) -> None:
        """Run these checks into the session of this wizard, following them page by page."""
        if self.runs.busy or not ids:
            return
        if not self.form.valid:
            self.show_page(SETUP)
            self.form.focus_problem()
            return
        if self.path is None:
            self.path = new_session(f"check-{self.form.subject}", self._folder)
        self._following = True
        self.banner.show_notice(None)
        self.show_page(ids[0])
        self.runs.start(ids, self.form.arguments(), self._seconds(len(ids)), self.path)

    def _seconds(self, count: int) -> int:
        return max(LEAST_SECONDS, round(self.setup.seconds * (count / len(self.checks)) ** 0.5))

    def skip(self, id: str) -> None:
        """Leave a check out and turn to the next page."""
        self.runs.leave_out(id)
        if not self.runs.busy:
            ids = [*(check.id for check in self.checks), SUMMARY]
            self.show_page(ids[ids.index(id) + 1])

    def _refresh(self) -> None:
        running = self.runs.running
        if self._following and self.runs.busy and running is not None and running != self.page:
            self.show_page(running)
        else:
            self._refresh_page()
        self._offer()

    def _refresh_page(self) -> None:
        """Show how things stand on the page in view, and in the list."""
        self.list.show_states(self.runs.states)
        page = self.pages.get(self.page)
        if page is not None:
            page.show_state(self.runs.states[page.info.id], self.runs.busy)
            page.show_picture(self.runs.picture(page.info.id))
        elif self.summary is not None and self.page == SUMMARY:
            self.summary.show_states(self.runs.states, recorded=self.runs.session is not None)

    def _offer(self) -> None:
        started = any(state.finished for state in self.runs.states.values())
        words = "Run the rest" if started else "Start the checks"
        self.run_all.setText("Run all again" if self.runs.complete else words)
        for widget in (self.run_all, self.setup.start_button):
            widget.setEnabled(not self.runs.busy and self.form.valid)
        self.stop_button.setEnabled(self.runs.busy)
        self.form.setEnabled(not self.runs.busy)

    def _on_ended(self, outcome: Outcome) -> None:
        self._show_outcome(outcome)
        if outcome.well and self._following and self.runs.complete:
            self.show_page(SUMMARY)
        self.ended.emit(outcome)

    def _show_outcome(self, outcome: Outcome) -> None:
        if outcome.ending == Ending.BAD_INPUT:
            self.show_page(SETUP)
            self.form.show_engine_line(outcome.line)
            return
        self.banner.show_notice(of_outcome(outcome, self.path))

    # the report and the way out

    def ask_report(self) -> None:
        """Open the file dialog for where the report goes."""
        if self.runs.session is None or self.exporter.running:
            return
        dialog = QFileDialog(self, "Save the report", "checks.html", "Report (*.html)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("html")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.save_report)
        dialog.open()

    def save_report(self, path: str) -> None:
        """Have the engine write the report."""
        self._report = Path(path)
        self._say("Writing the report …")
        self.exporter.start(["export", str(self.path), "--to", "html", path])

    def _on_exported(self, outcome: Outcome) -> None:
        if outcome.ending == Ending.OK:
            link = QUrl.fromLocalFile(str(self._report)).toString()
            self._say(f'The report is in <a href="{link}">{escape(str(self._report))}</a>.')
        else:
            self._say(f"The report could not be written: {escape(outcome.line)}")

    def _say(self, words: str) -> None:
        if self.summary is not None:
            self.summary.show_note(words)

    def _open_session(self) -> None:
        if self.path is not None:
            self.session_wanted.emit(self.path)

    def close_down(self) -> None:
        """Leave nothing behind: no process, no timer, no open file."""
        self.runs.close()
        self.exporter.kill()


def _scrolling(list: CheckList) -> QScrollArea:
    """Room for all checks in a low window."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(_on_top(list))
    return area


def _on_top(list: CheckList) -> QWidget:
    page = QWidget()
    page.setProperty("role", "scrolled")
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(list)
    column.addStretch(1)
    return page


def _edge() -> QFrame:
    edge = QFrame()
    edge.setProperty("role", "vertical-rule")
    return edge
