"""Which optimizer's learning rate is the training's, and when a further one begins to step."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from torch.optim import Optimizer

STILL_STEPS = 16
"""Two that take turns may do so in stretches: as long as the leading one has stepped within so many steps it leads."""
MOST_JOINING = 64
"""A loop may make an optimizer for each step."""


class Leading:
    """The first optimizer, until it is gone or others go on without it; one that joins late leads until it is back."""

    def __init__(self) -> None:
        self._known: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._latest: weakref.ref[Optimizer] | None = None
        self._leads: weakref.ref[Optimizer] | None = None
        self._former: weakref.ref[Optimizer] | None = None
        """The one that led before another one joined."""
        self._stepped = 0
        self._first: int | None = None
        self._joined = 0

    def steps(self, optimizer: Optimizer, step: int) -> bool:
        """An optimizer steps; says whether it does so for the first time, after others have."""
        if self._latest is not None and self._latest() is optimizer:
            if self._leads is self._latest:
                self._stepped = step
                return False
            joins = False
        else:
            self._latest = weakref.ref(optimizer)
            self._first = step if self._first is None else self._first
            joins = optimizer not in self._known and step > self._first
            self._known.add(optimizer)
        self._choose(self._latest, optimizer, step, joins)
        self._joined += joins
        return joins and self._joined <= MOST_JOINING

    def _choose(self, reference: weakref.ref[Optimizer], optimizer: Optimizer, step: int, joins: bool) -> None:
        leads = self._leads() if self._leads is not None else None
        if self._former is not None and self._former() is optimizer:
            self._leads, self._former = reference, None
        elif leads is not None and joins and self._first is not None and step - self._first > STILL_STEPS:
            self._leads, self._former = reference, self._leads
        elif leads is None or step - self._stepped > STILL_STEPS:
            self._leads = reference
        if self._leads is not None and self._leads() is optimizer:
            self._leads, self._stepped = reference, step

    def among(self, optimizers: Sequence[Optimizer]) -> Optimizer | None:
        """The one that leads, the first one where none has stepped yet."""
        leads = self._leads() if self._leads is not None else None
        return leads if leads is not None else next(iter(optimizers), None)
