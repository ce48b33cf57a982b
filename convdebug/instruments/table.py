"""Rows of many series that are sampled at the same steps, written as one group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convdebug_sessions import Group, RunRecorder


class Table:
    """One group of series; series that turn up later get a group of their own, absent ones a NaN."""

    def __init__(self, run: RunRecorder) -> None:
        self._run = run
        self._groups: list[tuple[tuple[str, ...], Group]] = []

    def append(self, step: int, names: tuple[str, ...], values: np.ndarray | Sequence[float]) -> None:
        """Write one row: `values[i]` is what the series `names[i]` was at `step`."""
        if len(self._groups) == 1 and self._groups[0][0] == names:
            self._groups[0][1].append(step, values)
            return
        self._append_matching(step, dict(zip(names, values, strict=True)))

    def _append_matching(self, step: int, row: dict[str, float]) -> None:
        known = {name for names, _ in self._groups for name in names}
        fresh = tuple(name for name in row if name not in known)
        if fresh:
            self._groups.append((fresh, self._run.group(fresh)))
        for names, group in self._groups:
            if any(name in row for name in names):
                group.append(step, [float(row.get(name, np.nan)) for name in names])
