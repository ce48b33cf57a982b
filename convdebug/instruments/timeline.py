"""Stamps at the borders of a step's phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Interval:
    """A phase from start to end; `parent` is the interval it happened inside of (a closure's forward)."""

    name: str
    start: Any
    end: Any = None
    parent: int | None = None


class Timeline:
    """Phases of one step, by clock readings, or by CUDA events that are read steps later."""

    def __init__(self, stamp: Callable[[], Any]) -> None:
        self._stamp = stamp
        self._open: list[int] = []
        self.intervals: list[Interval] = []

    def start(self, name: str) -> None:
        parent = self._open[-1] if self._open else None
        self._open.append(len(self.intervals))
        self.intervals.append(Interval(name, self._stamp(), parent=parent))

    def end(self, name: str) -> None:
        if self._open and self.intervals[self._open[-1]].name == name:
            self.intervals[self._open.pop()].end = self._stamp()

    def seconds(self, between: Callable[[Any, Any], float]) -> dict[str, float]:
        """Seconds in each phase, without what happened in phases inside it."""
        totals: dict[str, float] = {}
        for interval in self.intervals:
            if interval.end is not None:
                taken = between(interval.start, interval.end)
                totals[interval.name] = totals.get(interval.name, 0.0) + taken
                if interval.parent is not None:
                    outer = self.intervals[interval.parent].name
                    totals[outer] = totals.get(outer, 0.0) - taken
        return totals

    def arrived(self) -> bool:
        """Whether the device has passed all stamps (CUDA events)."""
        return all(interval.end is None or interval.end.query() for interval in self.intervals)
