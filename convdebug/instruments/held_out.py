"""What the network is given in evaluation: mean and spread, to be held against those of training."""

from __future__ import annotations

from typing import Any

from .anatomy import first_tensor
from .instrument import Scene
from .sampling import Samples, moments
from .table import Table

SERIES = ("held-out/mean", "held-out/std", "held-out/examples")
EARLY = 16
"""So many evaluations are measured each; of later ones those whose number is a power of two."""


class HeldOut:
    """`held-out/{mean,std,examples}` of the first batch of an evaluation, in evaluation mode and without gradients."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._table = Table(scene.run)
        self._samples: Samples | None = None
        self.fresh = True
        """Set when training goes on: what is evaluated next is another evaluation."""
        self._evaluations = 0
        self._last_step = -1

    def evaluation_begins(self, inputs: Any, step: int) -> None:
        """The model is given a batch while no gradients are recorded, before training step `step`."""
        if not self.fresh or self.scene.model.training:
            return
        self.fresh = False
        self._evaluations += 1
        rare = self._evaluations > EARLY and self._evaluations & (self._evaluations - 1)
        if not rare and step > self._last_step:
            self._measure(inputs, step)

    def _measure(self, inputs: Any, step: int) -> None:
        tensor = first_tensor(inputs)
        if tensor is None or tensor.dim() < 2 or not tensor.numel() or tensor.device != self.scene.device:
            return
        self._last_step = step
        if self._samples is None:
            self._samples = Samples(self.scene.device, rows=1, seed=5)
        samples, examples = self._samples, float(len(tensor))
        samples.clear()
        samples.add(tensor.detach())
        row = moments(samples.values(), samples.counts, samples.mask())[0, :2]
        self.scene.readback.put(row, lambda values: self._table.append(step, SERIES, (*values, examples)))
