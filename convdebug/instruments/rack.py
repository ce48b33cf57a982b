"""The instruments in their order: arms those that are due, times each, and drops one that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .instrument import Instrument, Moment, Scene
from .schedule import Price, Schedule


class Rack:
    """All instruments around one model; never raises into the training."""

    def __init__(self, kinds: Sequence[type[Instrument]], scene: Scene, budget: float, every: int | None) -> None:
        self.scene = scene
        self.instruments: dict[str, Instrument] = {}
        self.active: list[Instrument] = []
        self._armed: set[str] = set()
        self._spent: dict[str, float] = {}
        self.schedule = Schedule([], budget, every)
        for kind in kinds:
            self._guarded(kind.name, partial(self._build, kind))
        prices = [Price(kind.name, kind.weight, kind.rarity, kind.grows, kind.follows, kind.pairs) for kind in kinds]
        self.schedule = Schedule([price for price in prices if price.name in self.instruments], budget, every)
        self.arm_seconds = 0.0
        self.record_seconds = 0.0

    def _build(self, kind: type[Instrument]) -> None:
        self.instruments[kind.name] = kind(self.scene)

    def arm(self, moment: Moment) -> bool:
        """Make ready what is due at the coming step, take away what is not; says whether the root is to be heard."""
        if not self._armed and self.schedule.nothing_due(moment.step):
            self.active, self.arm_seconds = [], 0.0
            return False
        due = self.schedule.due(moment.step)
        self._spent = dict.fromkeys(due, 0.0)
        for name in self._armed.difference(due):
            self._guarded(name, self.instruments[name].disarm)
        self.active = [self.instruments[name] for name in due]
        self._armed = set(due)
        for instrument in self.active:
            self._timed(instrument, partial(instrument.arm, moment))
        self.arm_seconds = sum(self._spent.values())
        return any(instrument.needs_root for instrument in self.active)

    def before_update(self, moment: Moment) -> None:
        for instrument in tuple(self.active):
            self._timed(instrument, partial(instrument.before_update, moment))

    def record(self, moment: Moment) -> float:
        """Let all that are due write what they saw; returns the seconds they spent inside the user's own step."""
        self.record_seconds = 0.0
        if not self.active:
            return 0.0
        started, outside = self.scene.clock(), sum(self._spent.values()) - self.arm_seconds
        for instrument in tuple(self.active):
            moment.watch_seconds = sum(self._spent.values()) + moment.hook_seconds + self.schedule.base_seconds
            self._timed(instrument, partial(instrument.record, moment))
        taken = {}
        for instrument in self.active:
            hooks = instrument.inner_seconds()
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

    def _timed(self, instrument: Instrument, act: Callable[[], None]) -> None:
        started = self.scene.clock()
        self._guarded(instrument.name, act)
        if instrument.name in self._spent:
            self._spent[instrument.name] += self.scene.clock() - started

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as problem:  # whatever an instrument does, the user's training goes on
            self._drop(name, problem)

    def _drop(self, name: str, problem: Exception) -> None:
        broken = self.instruments.pop(name, None)
        self.active = [instrument for instrument in self.active if instrument.name != name]
        self._armed.discard(name)
        self._spent.pop(name, None)
        self.scene.run.event("instrument-failed", instrument=name, message=f"{type(problem).__name__}: {problem}")
        if broken is not None:
            self.schedule.drop(name)
            broken.disarm()
