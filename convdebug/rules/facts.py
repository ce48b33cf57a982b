"""What the rules know of one run: curves, tables and events, read once and then only where they have grown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from convdebug.rules.thinning import Thinned
from convdebug_sessions import Event, Run, Session

VALUES_AT_ONCE = 4_000_000
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Curve:
    """One series, every recorded row; a value may be NaN or infinite."""

    steps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def finite(self) -> "Curve":
        """Only the rows with finite values."""
        good = np.isfinite(self.values)
        return Curve(self.steps[good], self.values[good])

    def without_unseen(self, marks: list[Event]) -> "Curve":
        """Without the rows between an event `loss-unseen` and the next `loss-seen`: their NaN is no value."""
        place = np.searchsorted([mark.step or 0 for mark in marks], self.steps, side="right") - 1
        seen = np.array([True, *(mark.kind == "loss-seen" for mark in marks)])[place + 1]
        return Curve(self.steps[seen], self.values[seen])


@dataclass(frozen=True)
class Table:
    """Like series side by side, `values` `(rows, names)`; long runs are thinned between their first and last rows.

    `names` are the layers or parameters in forward order, NaN stands where a row lacks one.
    """

    names: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def only(self, names: set[str]) -> "Table":
        """The columns of these names, in their order here."""
        chosen = [index for index, name in enumerate(self.names) if name in names]
        return Table(tuple(self.names[index] for index in chosen), self.steps, self.values[:, chosen])

    def rows(self, rows: slice | np.ndarray) -> "Table":
        """Some of the rows."""
        return Table(self.names, self.steps[rows], self.values[rows])

    def since(self, step: int) -> "Table":
        """The rows from that step on."""
        return self.rows(slice(int(np.searchsorted(self.steps, step)), None))


NOTHING = Curve(np.empty(0, np.int64), np.empty(0))


class Facts:
    """One run of a session for the rules; `update` after `session.refresh()` makes it take in what is new."""

    def __init__(self, session: Session, run: int | None = None) -> None:
        self.session = session
        self.run: Run = session.run(run)
        self.names: list[str] = []
        self._age = 0
        self._curves: dict[str, tuple[int, Curve]] = {}
        self._columns: dict[tuple[str, str], _Columns] = {}
        self._events: list[Event] = []
        self._answers: dict[str, Any] = {}
        self.update()

    def update(self) -> None:
        """Forget what was concluded and read on from where each curve and table ended."""
        self._age += 1
        self._answers.clear()
        self.run = self.session.run(self.run.id)
        self.names = self.session.series_names(self.run.id)
        after = self._events[-1].id if self._events else 0
        self._events += self.session.events(self.run.id, after=after)

    @property
    def info(self) -> dict[str, Any]:
        """What the engine wrote about model, data, loss and optimizer."""
        return self.run.info

    def setting(self, key: str) -> Any:
        """A value of the run's RunConfig by its dotted key, None where the run has none."""
        value: Any = self.run.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def events(self, *kinds: str) -> list[Event]:
        """The events of these kinds so far."""
        return [event for event in self._events if event.kind in kinds]

    def survey(self, kind: str) -> list[Event]:
        """The events `data` or `classes` of this run, else of the last check of the same target in this session."""
        own = self.events(kind)
        if own or self.run.kind == "check":
            return own
        checks = [run for run in self.session.runs if run.kind == "check" and run.id < self.run.id]
        same = {run.id for run in checks if run.info.get("target") == self.info.get("target")}
        found = [event for event in self.session.events(run=0, kinds=[kind]) if event.run in same] if same else []
        last = max((event.run for event in found), default=0)
        return [event for event in found if event.run == last]

    def curve(self, name: str) -> Curve:
        """The series of that name, empty where it was not recorded."""
        if name not in self.names:
            return NOTHING
        age, curve = self._curves.get(name, (0, NOTHING))
        if age < self._age:
            steps, values = self.session.series_since(name, self.run.id, len(curve))
            curve = Curve(np.concatenate([curve.steps, steps]), np.concatenate([curve.values, values]))
            self._curves[name] = (self._age, curve)
        marks = self.events("loss-seen", "loss-unseen") if name == "train/loss" else []
        return curve.without_unseen(marks) if marks else curve

    def table(self, kind: str, what: str) -> Table:
        """All series `kind/<name>/what`, for example `("gradient", "norm")`."""
        names = [name for name in self.names if name.startswith(f"{kind}/") and name.endswith(f"/{what}")]
        columns = self._columns.get((kind, what))
        if columns is None or columns.series != names:
            columns = self._columns[kind, what] = _Columns(names)
        if columns.age < self._age:
            columns.read(self.session, self.run)
            columns.age = self._age
        steps, values = columns.kept.kept()
        return Table(tuple(name[len(kind) + 1 : -len(what) - 1] for name in names), steps, values)

    def remember(self, question: str, answer: Callable[["Facts"], Answer]) -> Answer:
        """The answer, worked out once until the next update."""
        if question not in self._answers:
            self._answers[question] = answer(self)
        return self._answers[question]


class _Columns:
    """The rows read so far of series that belong together."""

    def __init__(self, series: list[str]) -> None:
        self.series = series
        self.kept = Thinned(len(series))
        self.age = 0
        self.next_step = 0

    def read(self, session: Session, run: Run) -> None:
        """Take in the rows from `next_step` on, a bounded number of values at a time."""
        stride = max(1, VALUES_AT_ONCE // max(1, len(self.series)))
        while self.series:
            end = self.next_step + stride
            last = end - 1 if end < run.steps else None
            steps, values = session.matrix(self.series, run.id, first=self.next_step, last=last)
            if last is None and run.status == "running":
                steps, values = steps[:-1], values[:-1]  # the newest row may still lack the columns of a second group
            self.kept.extend(steps, values)
            if last is None:
                self.next_step = int(steps[-1]) + 1 if len(steps) else self.next_step
                return
            self.next_step = end


def remembered(function: Callable[[Facts], Answer]) -> Callable[[Facts], Answer]:
    """Make a function of the facts answer once per update."""

    @wraps(function)
    def answer(facts: Facts) -> Answer:
        return facts.remember(f"{function.__module__}.{function.__qualname__}", function)

    return answer
