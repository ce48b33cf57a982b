"""Runs checks through the engine into one session and knows how each of them stands while it grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from convdebug_gui.engine_process import EngineProcess, Outcome
from convdebug_gui.wizard.curves import Picture, picture_of
from convdebug_gui.wizard.verdicts import CheckState, states
from convdebug_sessions import Session, SessionError

LOOK_MS = 100
LEFT_OUT = {"summary": "Left out by you."}


class CheckRuns(QObject):
    """The checks of one session; `changed` when one of them stands differently, `ended` with the engine's outcome."""

    changed = pyqtSignal()
    ended = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.ids: list[str] = []
        self.path: Path | None = None
        self.session: Session | None = None
        self.states: dict[str, CheckState] = {}
        self.left_out: set[str] = set()
        self.engine = EngineProcess(self)
        self.engine.finished.connect(self._on_finished)
        self._arguments: list[str] = []
        self._seconds = 0
        self._queue: list[str] = []
        self._going_round = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    @property
    def busy(self) -> bool:
        return self.engine.running

    @property
    def running(self) -> str | None:
        """The check at work."""
        return next((id for id, state in self.states.items() if state.status == "running"), None)

    @property
    def complete(self) -> bool:
        """Whether every check has its verdict, or was left out."""
        return bool(self.states) and all(state.finished for state in self.states.values())

    def know(self, ids: Sequence[str]) -> None:
        """The checks there are, in their order."""
        self.ids = list(ids)
        self._read()

    def rest(self) -> list[str]:
        """What a press of Start runs: every check without a verdict, or all of them where each has one."""
        ids = [id for id in self.ids if id not in self.left_out]
        return [id for id in ids if not self.states[id].finished] or ids

    def start(self, ids: Sequence[str], arguments: Sequence[str], seconds: int, path: Path) -> None:
        """Run these checks, at most about so many seconds together."""
        self.path, self._arguments, self._seconds = path, list(arguments), seconds
        self._queue, self._going_round = list(ids), False
        only = ["--only", ",".join(ids), "--budget", str(seconds), "--session", str(path)]
        self.engine.start(["check", *arguments, *only], path)
        self._timer.start()
        self._read()
        self.changed.emit()

    def stop(self) -> None:
        """Stop; the verdicts there are stay."""
        self._queue = []
        self.engine.stop()

    def leave_out(self, id: str) -> None:
        """Leave a check out; one that is running is interrupted and the others go on."""
        self.left_out.add(id)
        self._read()
        self._go_round()
        self.changed.emit()

    def _go_round(self) -> None:
        if self.running not in self.left_out or self._going_round or not self.busy:
            return
        self._queue = [id for id in self._queue if id not in self.left_out and not self.states[id].finished]
        self._going_round = True
        self.engine.stop()

    def look(self) -> None:
        """Read what is new in the session."""
        opened = self.session is None and self._open()
        if self.session is None:
            return
        try:
            if not self.session.refresh() and not opened:
                return
        except SessionError:
            self._timer.stop()  # moved away or deleted: what was read stays on screen
            return
        self._read()
        self._go_round()
        self.changed.emit()

    def _open(self) -> bool:
        try:
            self.session = Session.open(self.path) if self.path is not None and self.path.exists() else None
        except SessionError:
            return False  # it is being made at this moment: the next look finds it
        return self.session is not None

    def _read(self) -> None:
        found = states(self.session, self.ids, self._queue if self.busy else ())
        for id in self.left_out & set(found):
            if not found[id].finished and found[id].status != "running":
                found[id] = CheckState(id, "skip", LEFT_OUT)
        self.states = found

    def picture(self, id: str) -> Picture | None:
        """The plot of a check."""
        state = self.states.get(id)
        if self.session is None or state is None or state.run is None:
            return None
        return picture_of(self.session, self.session.run(state.run), state.result)

    def _on_finished(self, outcome: Outcome) -> None:
        self._timer.stop()
        self.look()
        again = self._queue if self._going_round and outcome.well else []
        self._queue, self._going_round = [], False
        self._read()
        if again and self.path is not None:
            self.start(again, self._arguments, self._seconds, self.path)
            return
        self.changed.emit()
        self.ended.emit(outcome)

    def let_go(self) -> None:
        """Leave the checks running on their own."""
        self._timer.stop()
        self.engine.let_go()

    def close(self) -> None:
        """Leave nothing behind: no process, no timer, no open file."""
        self._timer.stop()
        self.engine.kill()
        if self.session is not None:
            self.session.close()
            self.session = None
