"""Whether gradients are zeroed between two steps of an optimizer, told for each optimizer on its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .hearing import Hearer
from .instrument import Moment, Scene
from .table import Table

WATCHED = 3
"""So many of the smallest gradients of an optimizer are looked at: whatever zeroes them zeroes all of them."""


@dataclass
class Left:
    """The gradients that an optimizer's step left behind, and what each backward pass since then found of them."""

    pairs: list[tuple[nn.Parameter, Tensor]]
    clean: bool = False
    found: list[Tensor] = field(default_factory=list)

    def look(self) -> None:
        """Clean: each gradient is gone, or another object, or all zero (counted on the device, read later)."""
        if self.clean:
            return
        same = [
            gradient for parameter, gradient in self.pairs if parameter.grad is gradient and parameter.requires_grad
        ]
        if same:
            self.found.append(torch.stack([gradient.count_nonzero() for gradient in same]).sum())
        else:
            self.clean = True

    def carried(self) -> Tensor | None:
        """1 if no backward pass began with clean gradients, else 0; None if there was no backward pass."""
        if self.clean:
            return torch.zeros(1, device=self.pairs[0][1].device)
        return (torch.stack(self.found).amin() > 0).float().reshape(1) if self.found else None


class Zeroing(Hearer):
    """`optimizer/<index>/carried`: 1 where a step used gradients that still contained those of the step before.

    After a step the optimizer's smallest gradients are kept. The backward passes up to its next step look at them:
    one that finds them zeroed is enough (a GAN's other backward passes may find them as they were). Deliberate
    accumulation steps less often and zeroes then, so it counts as clean; steps without a backward pass do not count.
    """

    name: ClassVar[str] = "zeroing"
    weight: ClassVar[float] = 0.1
    pairs: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._due = False
        self._left: dict[int, Left] = {}
        self._carried: dict[int, Tensor] = {}
        self._chosen: dict[int, list[nn.Parameter]] = {}
        self._seconds = 0.0

    def arm(self, moment: Moment) -> None:
        super().arm(moment)
        self.listen(True)
        self._due = True
        self._carried.clear()

    def disarm(self) -> None:
        self._due = False
        self.listen(False)
        self._left.clear()

    def backward_begins(self) -> None:
        if self._due and self._left:
            started = self.scene.clock()
            for left in self._left.values():
                left.look()
            self._seconds += self.scene.clock() - started

    def step_ended(self, optimizer: Optimizer) -> None:
        if not self._due or not self.holds(optimizer):
            return
        started = self.scene.clock()
        left = self._left.pop(id(optimizer), None)
        carried = None if left is None else left.carried()
        if carried is not None:
            before = self._carried.get(id(optimizer))
            self._carried[id(optimizer)] = carried if before is None else torch.maximum(before, carried.to(before))
        pairs = [
            (p, p.grad) for p in self._smallest(optimizer) if p.grad is not None and p.grad.layout == torch.strided
        ]
        if pairs:
            self._left[id(optimizer)] = Left(pairs)
        self._seconds += self.scene.clock() - started

    def _smallest(self, optimizer: Optimizer) -> list[nn.Parameter]:
        """The parameters with the smallest gradients; chosen once, and again when none of them has a gradient."""
        chosen = self._chosen.get(id(optimizer), [])
        if not any(parameter.grad is not None for parameter in chosen):
            present = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            chosen = self._chosen[id(optimizer)] = sorted(present, key=lambda p: p.numel())[:WATCHED]
        return chosen

    def record(self, moment: Moment) -> None:
        found = [
            (f"optimizer/{index}/carried", self._carried[id(optimizer)])
            for index, optimizer in enumerate(self.scene.optimizers)
            if id(optimizer) in self._carried
        ]
        if found:
            names = tuple(name for name, _ in found)
            row = torch.cat([value.to(found[0][1]) for _, value in found])
            self.scene.readback.put(row, lambda values: self.table.append(moment.step, names, values))

    def inner_seconds(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds
