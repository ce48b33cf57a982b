"""How often each class was met in the batches that were looked at, and whether those were alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

FIRST = 200  # labels; told of each time when twice as many have been seen
MOST_CLASSES = 1000
"""Labels of more classes are words, places or people, of which most are rare by nature; they would fill the session."""


class Tally:
    """Sums over batches, numpy arrays on the host or tensors on a device; `told` says when to hand them over.

    `counts` (C,) is how often each class was met. `squares` (C,) holds the squares of its counts in each batch, by the
    size of the batch: how much the batches differ follows from it.
    """

    def __init__(self) -> None:
        self.counts: Any = 0.0
        self.squares: Any = 0.0
        self.batches: Any = 0
        self._labels = 0
        self._told = 0

    def add(self, counts: np.ndarray | Tensor, labels: int) -> None:
        """One more batch, of which so many labels were given at most."""
        size = counts.sum()
        self.counts = self.counts + counts
        self.squares = self.squares + counts * counts / (size + (size == 0))
        self.batches = self.batches + (size > 0)
        self._labels += labels

    def is_due(self, over: bool = False) -> bool:
        """Whether twice as many labels have been seen since it was told last, or any where the run is over."""
        if self._labels < max(FIRST, self._told + 1 if over else 2 * self._told) or len(self.counts) > MOST_CLASSES:
            return False
        self._told = self._labels
        return True


def told(counts: np.ndarray, squares: np.ndarray, batches: int) -> dict[str, Any]:
    """What the event says: `spread` compares how the batches differ with what chance makes of one mixture.

    It is the chi-square of batches against classes by its degrees of freedom: 0 where each batch is the same, 1 where
    examples are drawn at random, the size of a batch where each holds a single class.
    """
    met = counts > 0
    freedom = (batches - 1) * (int(met.sum()) - 1)
    of_chance = float(counts.sum() * (squares[met] / counts[met]).sum() - counts.sum())
    found = {str(label): int(counts[label]) for label in np.flatnonzero(met)}
    return {"counts": found, "batches": batches, "spread": of_chance / freedom if batches > 1 and freedom > 0 else None}
