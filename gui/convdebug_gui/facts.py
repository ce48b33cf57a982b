"""What the session says of the run in view: series, events, blobs and layers, each read once until there is news."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from convdebug_gui.layers import Layer, layers_of
from convdebug_sessions import BlobRef, Buckets, Event, Run, Session, SessionError

KEPT_ARRAYS = 24
KEPT_ANSWERS = 4096
Kept = TypeVar("Kept")


class Facts:
    """A reader of one run; what it has read it keeps until `forget`. Without a run everything is empty."""

    def __init__(self, session: Session | None = None, run: Run | None = None) -> None:
        self.session, self.run = session, run
        self._kept: dict[Hashable, Any] = {}
        self._arrays: dict[int, Any] = {}

    def renewed(self, run: Run | None) -> Facts:
        """The same session after news: arrays never change and stay, everything else is read again."""
        facts = Facts(self.session, run)
        facts._arrays = self._arrays
        return facts

    def keep(self, key: Hashable, compute: Callable[[], Kept]) -> Kept:
        """The result of `compute`, worked out once."""
        if key not in self._kept:
            if len(self._kept) >= KEPT_ANSWERS:
                self._kept.clear()
            self._kept[key] = compute()
        found: Kept = self._kept[key]
        return found

    def _source(self) -> tuple[Session, int]:
        if self.session is None or self.run is None:
            raise SessionError("no session is open")
        return self.session, self.run.id

    @property
    def info(self) -> dict[str, Any]:
        return self.run.info if self.run is not None else {}

    @property
    def ordered_names(self) -> list[str]:
        if self.session is None or self.run is None:
            return []
        session, run = self._source()
        return self.keep("ordered", lambda: list(session.series_names(run)))

    @property
    def names(self) -> frozenset[str]:
        return self.keep("names", lambda: frozenset(self.ordered_names))

    @property
    def layers(self) -> list[Layer]:
        return self.keep("layers", lambda: layers_of(self.info, self.ordered_names))

    @property
    def extent(self) -> tuple[int, int]:
        """First and last recorded step."""
        return self.keep("extent", self._measure_extent)

    def _measure_extent(self) -> tuple[int, int]:
        if self.run is None:
            return 0, 0
        first = self.run.parent_step or 0
        if "train/loss" in self.names:
            found = self.buckets("train/loss", points=1).first_step
            first = int(found[0]) if len(found) else first
        return first, max(self.run.steps - 1, first)

    def buckets(self, name: str, first: int | None = None, last: int | None = None, points: int = 1000) -> Buckets:
        session, run = self._source()
        key = ("buckets", name, first, last, points)
        return self.keep(key, lambda: session.buckets(name, run, first, last, points))

    def heat(
        self, names: Sequence[str], first: int | None, last: int | None, columns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (columns + 1,), means and counts of non-finite values (len(names), columns)."""
        session, run = self._source()
        key = ("heat", tuple(names), first, last, columns)
        return self.keep(key, lambda: session.heat(list(names), run, first, last, columns))

    def value(self, name: str, step: int) -> float | None:
        """The last value at or before a step."""
        if name not in self.names:
            return None
        session, run = self._source()
        found = self.keep(("value", name, step), lambda: session.value(name, step, run))
        return None if found is None else found[1]

    def values(self, names: Sequence[str], step: int) -> np.ndarray:
        """The last value of each series at or before a step, NaN where there is none; shape (len(names),)."""
        return self.keep(("values", tuple(names), step), lambda: self._values(names, step))

    def _values(self, names: Sequence[str], step: int) -> np.ndarray:
        result = np.full(len(names), np.nan)
        known = [index for index, name in enumerate(names) if name in self.names]
        if not known:
            return result
        session, run = self._source()
        found = session.value(names[known[0]], step, run)
        if found is None:
            return result
        _steps, rows = session.matrix([names[index] for index in known], run, found[0], step)
        if len(rows):
            result[known] = rows[-1]
        return result

    def events(self, *kinds: str) -> list[Event]:
        return self._events(kinds) if self.run is not None else []

    def _events(self, kinds: Collection[str]) -> list[Event]:
        session, run = self._source()
        return self.keep(("events", tuple(kinds)), lambda: list(session.events(run, kinds)))

    def blob(self, kind: str, step: int, name: str | None = None) -> BlobRef | None:
        """The last blob of a kind at or before a step."""
        if self.run is None:
            return None
        session, run = self._source()
        return self.keep(("blob", kind, name, step), lambda: session.blob_at(kind, step, run, name))

    def blobs(self, kind: str) -> list[BlobRef]:
        if self.run is None:
            return []
        session, run = self._source()
        return self.keep(("blobs", kind), lambda: list(session.blobs(kind, run)))

    def array(self, ref: BlobRef) -> np.ndarray:
        """A blob's array; the last few are kept."""
        if ref.id not in self._arrays:
            session, _run = self._source()
            while len(self._arrays) >= KEPT_ARRAYS:
                self._arrays.pop(next(iter(self._arrays)))
            self._arrays[ref.id] = session.read(ref)
        found: np.ndarray = self._arrays[ref.id]
        return found
