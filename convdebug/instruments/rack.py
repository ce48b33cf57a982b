"""The instruments in their order: arms those that are due, times each, and drops one that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from .instrument import Instrument, Moment, Scene
from .kept import Unrepeatable
from .schedule import Price, Schedule


class Acts(NamedTuple):
    """What an instrument does beside recording; what it leaves to `Instrument` is nothing and need not be called."""

    arms: bool
    looks_before_update: bool
    has_hooks: bool

    @staticmethod
    def of(kind: type[Instrument]) -> Acts:
        own = (kind.arm, kind.before_update, kind.inner_seconds)
        none = (Instrument.arm, Instrument.before_update, Instrument.inner_seconds)
        return Acts(*(act is not nothing for act, nothing in zip(own, none, strict=True)))


class Rack:
    """All instruments around one model; never raises into the training."""

    def __init__(self, kinds: Sequence[type[Instrument]], scene: Scene, budget: float, every: int | None) -> None:
        self.scene = scene
        self.instruments: dict[str, Instrument] = {}
        self.active: list[Instrument] = []
        self._armed: set[str] = set()
        self._spent: dict[str, float] = {}
        self._all_spent = 0.0
        self._acts: dict[str, Acts] = {}
        self._excused = False
        self.schedule = Schedule([], budget, every)
        for kind in kinds:
            self._guarded(kind.name, partial(self._build, kind))
        prices = [
            Price(kind.name, kind.weight, kind.rarity, kind.grows, kind.follows, kind.pairs, kind.early)
            for kind in kinds
        ]
        self.schedule = Schedule([price for price in prices if price.name in self.instruments], budget, every)
        self.arm_seconds = 0.0
        self.record_seconds = 0.0

    def _build(self, kind: type[Instrument]) -> None:
        self.instruments[kind.name] = kind(self.scene)
        self._acts[kind.name] = Acts.of(kind)

    def arm(self, moment: Moment) -> bool:
        """Make ready what is due at the coming step, take away what is not; says whether the root is to be heard."""
        if not self._armed and self.schedule.nothing_due(moment.step):
            self.active, self.arm_seconds = [], 0.0
            return False
        due = self.schedule.due(moment.step)
        self._spent, self._all_spent = dict.fromkeys(due, 0.0), 0.0
        for name in self._armed.difference(due):
            self._guarded(name, self.instruments[name].disarm)
        self.active = [self.instruments[name] for name in due]
        self._armed = set(due)
        for instrument in tuple(self.active):
            if self._acts[instrument.name].arms:
                self._timed(instrument, instrument.arm, moment)
        self.arm_seconds = self._all_spent
        return any(instrument.needs_root for instrument in self.active)

    def before_update(self, moment: Moment) -> None:
        for instrument in tuple(self.active):
            if self._acts[instrument.name].looks_before_update:
                self._timed(instrument, instrument.before_update, moment)

    def record(self, moment: Moment) -> float:
        """Let all that are due write what they saw; returns the seconds they spent inside the user's own step."""
        self.record_seconds = 0.0
        if not self.active:
            return 0.0
        started, outside = self.scene.clock(), self._all_spent - self.arm_seconds
        base = self.schedule.base_seconds
        for instrument in tuple(self.active):
            moment.watch_seconds = self._all_spent + moment.hook_seconds + base
            self._timed(instrument, instrument.record, moment)
        taken = {}
        for instrument in self.active:
            hooks = instrument.inner_seconds() if self._acts[instrument.name].has_hooks else 0.0
            outside += hooks
            taken[instrument.name] = self._spent[instrument.name] + hooks
        self.schedule.measured(moment.step, taken)
        self.record_seconds = self.scene.clock() - started
        return max(outside, 0.0)

    def close(self) -> None:
        for name, instrument in list(self.instruments.items()):
            self._guarded(name, instrument.disarm)
            self._guarded(name, instrument.finish)
        self.active = []

    def silence(self) -> None:
        """Take away what is attached, and measure no more."""
        for instrument in self.instruments.values():
            instrument.disarm()
            instrument.fall_silent()
        self.active, self._armed = [], set()

    def retire(self) -> None:
        """Measure nothing, ever."""
        self.silence()
        self.instruments.clear()
        self.schedule = Schedule([], self.schedule.budget, self.schedule.every)

    def _timed(self, instrument: Instrument, act: Callable[[Moment], None], moment: Moment) -> None:
        started = self.scene.clock()
        try:
            act(moment)
        except Unrepeatable as reason:
            self._excuse(instrument.name, moment.step, reason)
        except Exception as problem:  # whatever an instrument does, the user's training goes on
            self._drop(instrument.name, problem)
        seconds = self.scene.clock() - started
        self._all_spent += seconds
        if instrument.name in self._spent:
            self._spent[instrument.name] += seconds

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as problem:  # whatever an instrument does, the user's training goes on
            self._drop(name, problem)

    def _excuse(self, name: str, step: int, reason: Unrepeatable) -> None:
        """What needs the model run once more falls silent where that would change the training; said once."""
        self._take_off(name)
        if not self._excused:
            self._excused = True
            text = f"the model is not run once more, and what needs that is not measured: {reason}"
            self.scene.run.event("note", step, text=text)

    def _drop(self, name: str, problem: Exception) -> None:
        self.scene.run.event("instrument-failed", instrument=name, message=f"{type(problem).__name__}: {problem}")
        self._take_off(name)

    def _take_off(self, name: str) -> None:
        broken = self.instruments.pop(name, None)
        self.active = [instrument for instrument in self.active if instrument.name != name]
        self._armed.discard(name)
        self._spent.pop(name, None)
        if broken is not None:
            self.schedule.drop(name)
            broken.disarm()
            broken.fall_silent()
