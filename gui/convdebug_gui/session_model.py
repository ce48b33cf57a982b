"""The one object behind the window: the open session, the run and layer in view, the playhead, and the one timer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal

from convdebug_gui.facts import Facts
from convdebug_gui.layers import Layer
from convdebug_sessions import Diagnosis, Playhead, Run, Session, SessionError

FRAME_MS = 16
IDLE_MS = 200
LOOK_S = 0.04
TRAININGS = ("train", "watch", "run")
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class SessionModel(QObject):
    """What all panels share. `changed` comes at most once a frame; signals carry nothing, the state is read here."""

    changed = pyqtSignal()
    ticked = pyqtSignal()
    session_changed = pyqtSignal()
    runs_changed = pyqtSignal()
    run_changed = pyqtSignal()
    layer_picked = pyqtSignal()
    filter_changed = pyqtSignal()
    diagnoses_changed = pyqtSignal()
    describe_changed = pyqtSignal()
    failed = pyqtSignal(object)
    recovered = pyqtSignal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session: Session | None = None
        self.run: Run | None = None
        self.runs: list[Run] = []
        self.diagnoses: list[Diagnosis] = []
        self.playhead = Playhead()
        self.picked: str | None = None
        self.layer_filter = ""
        self.describe: dict[str, Any] = {}
        self.revision = 0
        self.facts = Facts()
        self._moved = False
        self._last_tick = self._last_look = time.monotonic()
        self._problem = ""
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)

    # session and runs

    def open(self, path: str | Path) -> bool:
        """Opens a session, live ones at their end; False (and `failed`) where that cannot be."""
        try:
            session = Session.open(path)
        except SessionError as error:
            self.failed.emit(str(error))
            return False
        self.close()
        self.session, self._problem = session, ""
        self._load_run(None)
        self.playhead = Playhead()
        self._place_playhead()
        self.session_changed.emit()
        self.run_changed.emit()
        self.diagnoses_changed.emit()
        self._touch()
        return True

    def close(self) -> None:
        self._timer.stop()
        if self.session is None:
            return
        self.session.close()
        self.session, self.run, self.runs, self.diagnoses = None, None, [], []
        self.picked = None
        self._renew_facts()
        self.session_changed.emit()
        self.changed.emit()

    def choose_run(self, run: int) -> None:
        """Brings another run of the session into view, the playhead at the same step where it has one."""
        if self.session is None or (self.run is not None and self.run.id == run):
            return
        self._load_run(run)
        if self.playhead.mode != "following":
            self._place_playhead()
        self.run_changed.emit()
        self.diagnoses_changed.emit()
        self._touch()

    def _load_run(self, run: int | None) -> None:
        assert self.session is not None
        self.runs = list(self.session.runs)
        self.run = (self.session.run(run) if run is not None else run_to_open(self.runs)) if self.runs else None
        self._renew_facts()
        self.diagnoses = list(self.session.diagnoses(self.run.id)) if self.run is not None else []
        known = {layer.name for layer in self.layers}
        self.picked = self.picked if self.picked in known else None

    def _renew_facts(self) -> None:
        same = self.facts.session is self.session
        self.facts = self.facts.renewed(self.run) if same else Facts(self.session, self.run)
        self.revision += 1

    def _place_playhead(self) -> None:
        first, last = self.extent
        if self.live:
            self.playhead.follow()
            self.playhead.advance(0.0, first, last)
        else:
            self.playhead.pause()
            self.playhead.seek(last)

    @property
    def live(self) -> bool:
        """Whether the run in view is still growing."""
        return self.session is not None and self.session.live and (self.run is None or self.run.status == "running")

    # the one timer

    def tick(self) -> None:
        """One frame: look for news, move the playhead, say what changed, let the panels draw."""
        now = time.monotonic()
        elapsed, self._last_tick = now - self._last_tick, now
        news = self._look(now)
        before = self.playhead.position
        self.playhead.advance(elapsed, *self.extent)
        if news or self._moved or self.playhead.position != before:
            self._moved = False
            self.changed.emit()
        wanted_ms = FRAME_MS if self._busy() else IDLE_MS
        if self._timer.isActive() and self._timer.interval() != wanted_ms:
            self._timer.setInterval(wanted_ms)
        self.ticked.emit()

    def hurry(self) -> None:
        """Asks for a frame soon: a panel has something left to draw."""
        if self.session is not None and (not self._timer.isActive() or self._timer.interval() != FRAME_MS):
            self._timer.start(FRAME_MS)

    def _touch(self) -> None:
        self._moved = True
        self._last_tick = time.monotonic() if self.playhead.mode == "paused" else self._last_tick
        self.hurry()

    def _busy(self) -> bool:
        return self.live or self.playhead.mode == "playing"

    def _look(self, now: float) -> bool:
        pause = LOOK_S if self.live else IDLE_MS / 1000
        if self.session is None or now - self._last_look < pause:
            return False
        self._last_look = now
        self._watch_the_file(self.session.path)
        try:
            if not self.session.refresh():
                return False
            self._reload()
        except SessionError as error:
            self.say_problem(str(error))
            return False
        return True

    def _watch_the_file(self, path: Path) -> None:
        """A file that was moved can still be read for a while, but nobody finds it where it was."""
        if not path.exists():
            self.say_problem(f"{path} does not exist")
        elif self._problem == f"{path} does not exist":
            self._problem = ""
            self.recovered.emit()

    def say_problem(self, problem: str) -> None:
        """`failed`, once for each problem."""
        if problem != self._problem and self.session is not None:
            self._problem = problem
            self.failed.emit(problem)

    def _reload(self) -> None:
        assert self.session is not None
        runs, diagnoses, shown = self.runs, self.diagnoses, self.run
        self._load_run(self._run_to_show())
        if [run.id for run in runs] != [run.id for run in self.runs] or _statuses(runs) != _statuses(self.runs):
            self.runs_changed.emit()
        if (shown and shown.id) != (self.run and self.run.id):
            self.run_changed.emit()
        if diagnoses != self.diagnoses:
            self.diagnoses_changed.emit()

    def _run_to_show(self) -> int | None:
        """The run in view; while following, the newest training once the one in view has ended."""
        assert self.session is not None
        if self.run is None or (self.playhead.mode == "following" and self._ended(self.run.id)):
            return None
        return self.run.id

    def _ended(self, run: int) -> bool:
        assert self.session is not None
        return all(known.status != "running" for known in self.session.runs if known.id == run)

    # the playhead

    @property
    def extent(self) -> tuple[int, int]:
        """First and last recorded step of the run in view."""
        return self.facts.extent

    @property
    def step(self) -> int:
        first, last = self.extent
        return int(min(max(self.playhead.position, first), last))

    def seek(self, step: float) -> None:
        """Moves the playhead; a following one stays where it was put."""
        first, last = self.extent
        if self.playhead.mode == "following":
            self.playhead.pause()
        self.playhead.seek(min(max(step, first), last))
        self._touch()

    def step_by(self, steps: int) -> None:
        self.playhead.pause()
        self.seek(self.step + steps)

    def toggle_play(self) -> None:
        """Plays or pauses; at the end of a finished run, from its beginning; a live run is followed."""
        first, last = self.extent
        if self.playhead.mode == "playing":
            self.playhead.pause()
        elif self.live and self.step >= last:
            self.playhead.follow()
        else:
            if self.step >= last:
                self.playhead.seek(first)
            self.playhead.play()
        self._last_tick = time.monotonic()
        self._touch()

    def set_following(self, following: bool) -> None:
        if following:
            self.playhead.follow()
        else:
            self.playhead.pause()
        self._touch()

    def set_speed(self, speed: float) -> None:
        self.playhead.set_speed(speed)
        self._touch()

    def marked_steps(self) -> list[int]:
        """Where diagnoses begin, in order."""
        return sorted({diagnosis.first_step for diagnosis in self.diagnoses})

    def next_diagnosis(self) -> None:
        """Jumps to the next beginning of a diagnosis, round to the first one after the last."""
        steps = self.marked_steps()
        if steps:
            self.playhead.pause()
            self.seek(next((step for step in steps if step > self.step), steps[0]))

    # layers

    @property
    def layers(self) -> list[Layer]:
        return self.facts.layers

    @property
    def shown_layers(self) -> list[Layer]:
        """The layers that the filter lets through: by name, or where no name has it, by kind."""
        wanted = self.layer_filter.lower()
        named = [layer for layer in self.layers if wanted in layer.name.lower()]
        return named or [layer for layer in self.layers if wanted in layer.kind.lower()]

    def pick_layer(self, name: str | None) -> None:
        """Picks a layer in every panel; the same again lets it go."""
        self.picked = None if name == self.picked else name
        self.layer_picked.emit()
        self._touch()

    def pick_along(self, by: int) -> None:
        """Picks the layer `by` places deeper than the picked one, from the first one on where none is."""
        names = [layer.name for layer in self.shown_layers]
        if not names:
            return
        here = names.index(self.picked) if self.picked in names else (-1 if by > 0 else len(names))
        wanted = names[min(max(here + by, 0), len(names) - 1)]
        if wanted != self.picked:
            self.pick_layer(wanted)

    def filter_layers(self, text: str) -> None:
        if text != self.layer_filter:
            self.layer_filter = text
            self.filter_changed.emit()
            self._touch()

    def show_diagnosis(self, diagnosis: Diagnosis) -> None:
        """The playhead to where it begins, its layer picked."""
        self.playhead.pause()
        layer = diagnosis.layer or next(iter(diagnosis.layers), None)
        self.picked = self._layer_for(layer)
        self.layer_picked.emit()
        self.seek(diagnosis.first_step)

    def _layer_for(self, name: str | None) -> str | None:
        if name is None:
            return None
        exact = next((layer.name for layer in self.layers if layer.name == name), None)
        inside = (layer.name for layer in self.layers if name.startswith(f"{layer.name}."))
        return exact or next(inside, None)

    # what the engine tells about itself

    def set_describe(self, describe: dict[str, Any]) -> None:
        """What `convdebug describe --json` printed: rules and their explanations."""
        self.describe = describe
        self.describe_changed.emit()

    def explanation(self, rule: str) -> dict[str, Any] | None:
        rules = self.describe.get("rules") or ()
        return next((entry for entry in rules if entry.get("name") == rule), None)


def run_to_open(runs: Sequence[Run]) -> Run:
    """The last training; in a session without any, the last run of its own that made a step."""
    own = [run for run in runs if run.parent is None] or list(runs)
    trainings = [run for run in own if run.kind in TRAININGS]
    stepped = [run for run in own if run.steps]
    return (trainings or stepped or own)[-1]


def _statuses(runs: Sequence[Run]) -> list[str]:
    return [run.status for run in runs]
