"""What the loop was heard to do since it began, in numbers: kept at every step, written where that is due."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from .gradient_marks import GradientMarks, Mark
from .readback import Readback
from .unused import Unused


class LoopHeard:
    """Filled by those who listen anyway; all of it concerns the optimizers that train the watched model."""

    def __init__(self, gradients: GradientMarks, readback: Readback) -> None:
        self._readback = readback
        self.backwards = self.steps = self.asked = self.skipped = 0
        self.steps_of: dict[int, int] = {}
        """By the identity of the optimizer."""
        self.unused = Unused(gradients)
        self._waiting: set[int] = set()

    def step_begins(self, optimizer: Any, marks: list[Mark]) -> None:
        """An optimizer steps, with the gradients that the last backward pass left."""
        self.steps += 1
        self.unused.step_begins(marks)
        known = id(optimizer)
        self.steps_of[known] = self.steps_of.get(known, 0) + 1
        if known in self._waiting:
            self._waiting.discard(known)
            self._judge_scaled(optimizer)

    def scaler_asked(self, optimizer: Any, marks: list[Mark]) -> None:
        """A gradient scaler was asked to step an optimizer; it steps only if the gradients are finite."""
        self.asked += 1
        self.skipped += 1
        self._waiting.add(id(optimizer))
        self.unused.step_begins(marks)

    def _judge_scaled(self, optimizer: Any) -> None:
        self.skipped -= 1
        found = getattr(optimizer, "found_inf", None)
        if isinstance(found, Tensor):  # fused optimizers are called in any case and skip by themselves
            self._readback.put(found.reshape(1), self._count_fused)

    def _count_fused(self, found: np.ndarray) -> None:
        if found[0] > 0:
            self.skipped += 1
