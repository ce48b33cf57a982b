"""The frame around welcome, guided checks and workbench: one window, and what happens when it is closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QByteArray, QSettings, Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PyQt6.QtWidgets import QFileDialog, QStackedLayout, QWidget

from convdebug_gui.banner import Banner, CloseQuestion
from convdebug_gui.description import Description
from convdebug_gui.notices import own_error, refused
from convdebug_gui.places import SUFFIX, new_session, remember, sessions_folder
from convdebug_gui.welcome import Welcome

if TYPE_CHECKING:
    from convdebug_gui.wizard.wizard import Wizard
    from convdebug_gui.workbench import Workbench

DEMO = {
    "data.limit": 4000,
    "data.val_limit": 1000,
    "data.batch_size": 64,
    "train.steps": 240,
    "schedule.name": "cosine",
}


class Frame(QWidget):
    """One window; the pages that need more than Qt are made when they are first wanted."""

    gone = pyqtSignal()

    def __init__(self, settings: QSettings, description: Description | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.setWindowTitle("convdebug")
        self.setMinimumSize(960, 600)
        self.resize(1440, 900)
        self.description = description if description is not None else Description(self)
        self.welcome = Welcome(settings)
        self.workbench: Workbench | None = None
        self.wizard: Wizard | None = None
        self.question: CloseQuestion | None = None
        self._closing = self._demo = False
        self.pages = QStackedLayout(self)
        self.pages.setContentsMargins(0, 0, 0, 0)
        self.pages.addWidget(self.welcome)
        self.notice = Banner()
        self.welcome.set_banner(self.notice)
        self._connect()
        geometry = settings.value("frame/geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)

    def _connect(self) -> None:
        self.welcome.new_run.connect(self.new_run)
        self.welcome.check_model.connect(self.check_model)
        self.welcome.watch_script.connect(self.watch_script)
        self.welcome.open_session.connect(self.ask_open)
        self.welcome.demo.connect(self.demo)
        self.welcome.chosen.connect(self.open)
        for keys, slot in (("Alt+Home", self.go_home), ("Ctrl+Q", self.close)):
            QShortcut(QKeySequence(keys), self, slot)

    # the pages

    def go_home(self) -> None:
        """To the welcome page; what runs goes on."""
        self.pages.setCurrentWidget(self.welcome)
        self.setWindowTitle("convdebug")
        self.welcome.refresh()

    def new_run(self) -> None:
        """An empty workbench, the form ready."""
        bench = self._make_workbench()
        bench.fresh()
        self._show_bench()
        bench.form.setFocus()

    def check_model(self) -> None:
        """The guided checks; those that run are come back to."""
        self._make_wizard()
        self._show_wizard()

    def open(self, path: object) -> None:
        """Show a session in the workbench; where it cannot be opened the reason stands on the page at hand."""
        bench = self._make_workbench()
        if bench.open(Path(str(path))):
            self._show_bench()

    def _refuse(self, words: object) -> None:
        if self.pages.currentWidget() is self.welcome:
            self.notice.show_notice(refused(str(words)))

    def ask_open(self) -> None:
        """Open the file dialog for a session."""
        dialog = QFileDialog(self, "Open session", str(sessions_folder()), f"Sessions (*{SUFFIX});;All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.open)
        dialog.open()

    def watch_script(self) -> None:
        """What a script of one's own needs; the session that it begins is opened, live."""
        from convdebug_gui.watch_dialog import WatchDialog

        dialog = WatchDialog(self)
        dialog.found.connect(self.open)
        dialog.open_wanted.connect(self.ask_open)
        dialog.open()

    def demo(self, path: Path | None = None) -> None:
        """The guided checks on the embedded default, then its training, live: all by itself."""
        wizard = self._make_wizard()
        self._show_wizard()
        if wizard.runs.busy:
            return
        self._demo = True
        wizard.begin_demo(DEMO, path if path is not None else new_session("demo"))

    def _make_workbench(self) -> Workbench:
        if self.workbench is None:
            from convdebug_gui.workbench import Workbench  # brings pyqtgraph along

            self.workbench = bench = Workbench(self.description, self.settings)
            self.pages.addWidget(bench)
            bench.opened.connect(self._remember)
            bench.ended.connect(self._on_ended)
            bench.model.failed.connect(self._refuse)
            bench.main.windowTitleChanged.connect(self._retitle)
            self._fill_menu(bench)
        return self.workbench

    def _fill_menu(self, bench: Workbench) -> None:
        menu = bench.main.menu
        first = menu.actions()[0]
        for words, slot in (
            ("Welcome page\tAlt+Home", self.go_home),
            ("New run\tCtrl+N", self.new_run),
            ("Check my model\tCtrl+M", self.check_model),
            ("Watch a script…\tCtrl+W", self.watch_script),
        ):
            action = menu.addAction(words, slot)
            menu.insertAction(first, action)
        QShortcut(QKeySequence("Ctrl+N"), bench, self.new_run)
        QShortcut(QKeySequence("Ctrl+M"), bench, self.check_model)
        QShortcut(QKeySequence("Ctrl+W"), bench, self.watch_script)

    def _make_wizard(self) -> Wizard:
        if self.wizard is None:
            from convdebug_gui.wizard.wizard import Wizard

            self.wizard = wizard = Wizard(self.description)
            self.pages.addWidget(wizard)
            wizard.leave_wanted.connect(self.go_home)
            wizard.train_wanted.connect(self._train_checked)
            wizard.session_wanted.connect(self.open)
            wizard.ended.connect(self._on_checked)
        return self.wizard

    def _show_bench(self) -> None:
        if self.workbench is not None:
            self.notice.show_notice(None)
            self.pages.setCurrentWidget(self.workbench)
            self._retitle()

    def _show_wizard(self) -> None:
        if self.wizard is not None:
            self.pages.setCurrentWidget(self.wizard)
            self.setWindowTitle("Sanity checks — convdebug")

    def _retitle(self) -> None:
        if self.workbench is not None and self.pages.currentWidget() is self.workbench:
            self.setWindowTitle(self.workbench.main.windowTitle())

    def _remember(self, path: object) -> None:
        remember(self.settings, Path(str(path)))

    def _train_checked(self) -> None:
        """Train what was checked, with the same form, into the same session in a demo."""
        if self.wizard is None:
            return
        bench = self._make_workbench()
        bench.fresh()
        bench.form.take(self.wizard.form)
        self._show_bench()
        if self._demo and self.wizard.path is not None:
            bench.start(bench.form.arguments(), self.wizard.path)
        else:
            bench.run()

    def _on_checked(self, outcome: object) -> None:
        if self.wizard is not None and self._demo:
            if self.wizard.runs.complete and not self._closing:
                self._train_checked()
            self._demo = False
        self._on_ended(outcome)

    def complain(self, line: str, words: str) -> None:
        """An error of the window itself: say so on the page at hand and go on."""
        page = self.pages.currentWidget()
        with_banner = (self.workbench, self.wizard)
        banner = next((each.banner for each in with_banner if each is not None and each is page), self.notice)
        banner.show_notice(own_error(line, words))

    # closing

    @property
    def busy(self) -> bool:
        """Whether an engine of this window is at work."""
        training = self.workbench is not None and self.workbench.training
        return training or (self.wizard is not None and self.wizard.runs.busy)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        if event is None:
            return
        if self.busy:
            event.ignore()
            self._ask()
            return
        self.settings.setValue("frame/geometry", self.saveGeometry())
        if self.workbench is not None:
            self.workbench.let_go()  # what is left has made its last step and only writes its diagnoses
        self.close_down()
        event.accept()
        self.gone.emit()

    def _ask(self) -> None:
        if self.question is not None:
            self.question.raise_()
            return
        self.question = question = CloseQuestion(*self._what_runs(), self)
        question.stop.connect(self._stop_and_close)
        question.go_on.connect(self._go_on_and_close)
        question.finished.connect(self._forget_question)
        question.open()

    def _what_runs(self) -> tuple[str, str]:
        bench = self.workbench
        if bench is not None and bench.engines:
            if bench.path is not None and bench.path in bench.engines:
                return bench.path.stem, bench.progress_words()
            return next(iter(bench.engines)).stem, ""
        wizard = self.wizard
        running = wizard.runs.running if wizard is not None else None
        return "sanity checks", running or "starting"

    def _forget_question(self) -> None:
        self.question = None

    def _stop_and_close(self) -> None:
        self._closing = True
        if self.workbench is not None:
            self.workbench.stop_all()
        if self.wizard is not None:
            self.wizard.runs.stop()

    def _go_on_and_close(self) -> None:
        self._closing = True
        if self.workbench is not None:
            self.workbench.let_go()
        if self.wizard is not None:
            self.wizard.runs.let_go()
        self.close()

    def _on_ended(self, _outcome: object) -> None:
        if self._closing and not self.busy:
            self.close()

    def close_down(self) -> None:
        """Leave nothing behind: no process, no timer, no open file."""
        self.description.close()
        for page in (self.workbench, self.wizard):
            if page is not None:
                page.close_down()
