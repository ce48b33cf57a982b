"""One training on screen: the main window with its form and top bar, and the engine process that they drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import QSettings, pyqtSignal
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from convdebug_gui.banner import Banner
from convdebug_gui.description import Description
from convdebug_gui.engine_process import Ending, EngineProcess, Outcome, log_path, read_tail
from convdebug_gui.engines import Engines, FirstRun
from convdebug_gui.fields import flat
from convdebug_gui.live_control import LiveControl, State
from convdebug_gui.main_window import MainWindow
from convdebug_gui.notices import Notice, of_crash, of_outcome, refused, session_gone, writer_gone
from convdebug_gui.places import new_session
from convdebug_gui.reading import Reading, how_far, live_values, read, wished_values
from convdebug_gui.run_form import RunForm
from convdebug_gui.script_runs import RUN_TIP, fixed_fields, form_words, is_of_script, told_of_script
from convdebug_gui.session_model import SessionModel
from convdebug_sessions import Run, Session, SessionError


class Workbench(QWidget):
    """Starts, steers and shows one run at a time; a session that someone else writes can be steered as well."""

    opened = pyqtSignal(object)
    ended = pyqtSignal(object)

    def __init__(
        self,
        description: Description,
        settings: QSettings,
        folder: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._description, self._folder = description, folder
        self.path: Path | None = None
        self.engines = Engines()
        self._was_live = self._stopping = False
        self._reading: Reading | None = None
        self.model = SessionModel(self)
        self.form = RunForm()
        self.live = LiveControl()
        self.banner = Banner()
        self.main = MainWindow(self.model, settings)
        self._first_run = FirstRun(self)
        self._first_run.there.connect(self._on_first_run)
        self._lay_out()
        self._connect()
        self._take_description()

    def _lay_out(self) -> None:
        self.main.set_top_bar(self.live)
        self.main.set_side(self.form)
        self.main.set_banner(self.banner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.main)

    def _connect(self) -> None:
        self._description.ready.connect(self._take_description)
        self._description.failed.connect(self._show_outcome)
        self.live.run_wanted.connect(self.run)
        self.live.stop_wanted.connect(self.stop)
        self.live.wish.connect(self.wish)
        self.form.live_change.connect(self._wish_value)
        self.banner.run_again.connect(self.run)
        self.main.run_requested.connect(self.run)
        self.model.session_changed.connect(self._on_session_changed)
        self.model.changed.connect(self._refresh)
        self.model.run_changed.connect(self._on_run_changed)
        self.model.failed.connect(self._on_failed)
        self.model.recovered.connect(self._on_recovered)

    def _take_description(self) -> None:
        if self._description.data:
            self.form.set_description(self._description.data)
            self.live.set_schema(self._description.data["schema"])
            self.model.set_describe(self._description.data)
            self._load_config()

    # what is on screen

    @property
    def engine(self) -> EngineProcess | None:
        """The engine of the session on screen, where this window started it and it is still at work."""
        return self.engines.get(self.path) if self.path is not None else None

    @property
    def training(self) -> bool:
        """Whether a training of this window goes on; one that only writes its last diagnoses does not count."""
        return any(path != self.path or self._unfinished() for path in self.engines)

    def _unfinished(self) -> bool:
        return self.model.run is None or self.model.live

    def fresh(self) -> None:
        """An empty bench for a new run, the form as it stands; trainings that go on, go on."""
        self.path = None
        self._first_run.stop()
        self.model.close()
        self.banner.show_notice(None)
        self.form.show_script("")
        self._refresh()

    def open(self, path: Path) -> bool:
        """Show a session: live where someone writes it, else as a replay; False where it cannot be opened."""
        return self.model.open(path)

    def _on_session_changed(self) -> None:
        """Another session is on screen, whoever opened it."""
        session = self.model.session
        if session is None:
            return
        self._first_run.stop()
        self.path, self._was_live, self._stopping = session.path, self.model.live, False
        self.banner.show_notice(None)
        self._on_run_changed()
        self._tell_of_crash()
        self.opened.emit(session.path)

    def _tell_of_crash(self) -> None:
        run, session = self.model.run, self.model.session
        if run is None or session is None or run.status not in ("crashed", "killed"):
            return
        crashes = session.events(run.id, {"crash"})
        if crashes:
            self._tell(of_crash(crashes[-1].data, session.path, run.steps))
        elif run.status == "killed":
            self._tell(writer_gone(session.path, run.steps, read_tail(log_path(session.path))))

    def _tell(self, notice: Notice) -> None:
        self.banner.show_notice(told_of_script(notice) if is_of_script(self.model.run) else notice)

    def _on_run_changed(self) -> None:
        self._load_config()
        self._refresh()

    def _load_config(self) -> None:
        run = self.model.run
        if run is None or not self.form.rows:
            return
        self.form.show_script(form_words(run) if is_of_script(run) else "")
        if run.config and "model" in run.config:
            self.form.target.clear()
            self.form.load(flat(run.config))
        elif ":" in str(run.info.get("target")):
            self.form.target.line.setText(str(run.info["target"]))

    # running

    def run(self) -> None:
        """Start a run with what the form says, into a session of its own."""
        if self.live.state != State.IDLE:
            return
        if not self.form.valid:
            self.form.focus_problem()
            return
        self.start(self.form.arguments(), new_session(self.form.subject, self._folder))

    def start(self, arguments: list[str], path: Path) -> None:
        """Start a training into a session, new or there already."""
        self.banner.show_notice(None)
        self.model.close()
        self.path, self._was_live, self._stopping = path, False, False
        self._first_run.expect(path)
        self.engines[path] = engine = EngineProcess(self)
        engine.finished.connect(self._on_finished)
        engine.start(["train", *arguments, "--session", str(path)], path)
        self.main.deck.setFocus()  # the keys of the panels work from here on, whatever was typed in before
        self._first_run.wait()
        self._refresh()

    def _on_first_run(self, path: Path) -> None:
        if path == self.path and self.engine is not None:
            self.open(path)

    def stop(self) -> None:
        """End the run that is on screen, kindly."""
        self._stopping = True
        wished = self.model.live and self._write_wish("stop", None)
        if self.engine is not None:
            self.engine.stop(wished=wished)
        self._refresh()

    def wish(self, what: str, value: Any = None) -> None:
        """Tell the run on screen what is wanted of it."""
        if self.model.live:
            self._write_wish(what, value)
            if what in ("continue", "step") or self.model.playhead.mode == "following":
                self.model.set_following(True)

    def _write_wish(self, what: str, value: Any) -> bool:
        session, run = self.model.session, self.model.run
        if session is None or run is None:
            return False
        try:
            session.wish(what, value, run.id)
        except SessionError as error:
            self.banner.show_notice(refused(str(error)))
            return False
        return True

    def _wish_value(self, key: str, value: object) -> None:
        self.wish("set", {key: value})

    # showing

    def _state(self) -> State:
        if self.engine is not None and self.model.session is None:
            return State.STOPPING if self._stopping else State.STARTING
        if not self.model.live:
            return State.IDLE if self.engine is None else State.STOPPING
        if self._stopping:
            return State.STOPPING
        return State.PAUSED if self._reading is not None and self._reading.paused else State.RUNNING

    def _refresh(self) -> None:
        run, session = self.model.run, self.model.session
        if run is not None and session is not None:
            self._read(session, run)
        else:
            self._reading = None
            self.live.show_values({})
        self.live.set_limits(RUN_TIP if is_of_script(run) else "", fixed_fields(run))
        self.live.set_state(self._state())
        self.live.show_reading(self._reading)
        self.form.set_live(self.live.state in (State.RUNNING, State.PAUSED))
        self._watch_the_writer()

    def _read(self, session: Session, run: Run) -> None:
        try:
            values = live_values(session, run)
            self._reading = read(session, run, values)
            self._show_in_form(wished_values(session, run) if run.config else values)
        except SessionError as error:
            self.model.say_problem(str(error))  # moved away in this moment: the last reading stays
        else:
            self.live.show_values(values)

    def _show_in_form(self, values: dict[str, Any]) -> None:
        for key, value in values.items():
            row = self.form.rows.get(key)
            if self.model.live and row is not None and value is not None and not row.editor.hasFocus():
                row.follow(value)

    def _watch_the_writer(self) -> None:
        run = self.model.run
        if run is None or self.path is None:
            return
        if self._was_live and run.status == "killed" and self.engine is None and self.banner.notice is None:
            self._tell(writer_gone(self.path, run.steps, read_tail(log_path(self.path))))
        self._was_live = self.model.live

    # endings

    def _on_finished(self, outcome: Outcome) -> None:
        path = self.engines.take_out(self.sender())
        if path is None:
            return
        if path == self.path:
            self._conclude(outcome)
        self.ended.emit(outcome)

    def _conclude(self, outcome: Outcome) -> None:
        """The engine of the session on screen has ended: show the last of it, and why."""
        self._first_run.stop()
        assert self.path is not None
        if self.model.session is None and self._first_run.is_there:
            self.open(self.path)
        self.model.tick()
        self._was_live = self._stopping = False
        self._refresh()
        self._show_outcome(outcome)

    def _show_outcome(self, outcome: Outcome) -> None:
        if outcome.ending == Ending.BAD_INPUT:
            self.form.show_engine_line(outcome.line)
        steps = self.model.run.steps if self.model.run is not None else 0
        notice = of_outcome(outcome, self.path, steps)
        if notice is not None:
            self.banner.show_notice(notice)

    def _on_failed(self, words: object) -> None:
        """The session cannot be read: gone, or something is wrong with it."""
        if self.path is not None and not self.path.exists() and self.model.session is not None:
            self.banner.show_notice(session_gone(self.path))
        else:
            self.banner.show_notice(refused(str(words)))

    def _on_recovered(self) -> None:
        if self.path is not None and self.banner.notice == session_gone(self.path):
            self.banner.show_notice(None)

    def close_down(self) -> None:
        """Leave nothing behind: no process, no timer, no open file."""
        self._first_run.stop()
        self.close_engines()
        self.model.close()
        self.main.close()

    def close_engines(self) -> None:
        """End every engine of this window at once."""
        self.engines.kill()

    def let_go(self) -> None:
        """Leave every training running on its own."""
        self.engines.let_go()

    def stop_all(self) -> None:
        """End every training of this window kindly; `ended` comes for each."""
        for path, engine in list(self.engines.items()):
            if path == self.path:
                self.stop()
            else:
                engine.stop()

    def progress_words(self) -> str:
        """How far the run is, for the question at closing."""
        return how_far(self._reading)
