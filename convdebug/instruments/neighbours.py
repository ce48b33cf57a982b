"""Whether what a model says of one example depends on the other examples of its batch: they are exchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .anatomy import first_tensor

MIXED = 1e-4
"""Influence of the other examples against an example's own; rounding reaches 1e-6."""
FACTORS = (-1.5, 1.0)
"""The other examples are turned around; as they are where the network gives no number for that (roots of pixels)."""


def is_per_example(value: Tensor, count: int) -> bool:
    """Whether the first axis of a tensor is that of `count` examples."""
    return value.ndim > 0 and len(value) == count


def exchanged(value: Tensor, count: int, kept: int, factor: float) -> Tensor:
    """One example as it is, in place of each other one its neighbour times the factor where it is of real numbers."""
    if not is_per_example(value, count):
        return value
    changed = value.roll(1, 0)
    if value.is_floating_point():
        changed = factor * changed
    changed[kept] = value[kept]
    return changed


def change_between(before: Tensor, after: Tensor) -> float:
    """How far one example's numbers moved, against the largest of them; infinite where that is no number."""
    size = float(before.abs().max()) or 1.0
    change = float((before - after).abs().max()) / size
    return change if math.isfinite(change) else math.inf


class ModulesOf:
    """Keeps what each module puts out for one example of a batch, inside a `with` block, in the order they are done.

    A leaf is done before what it stands in; attention never calls the layer within it, and is itself the first.
    """

    def __init__(self, model: nn.Module, count: int, example: int) -> None:
        self.kept: list[tuple[str, Tensor]] = []
        self._model, self._count, self._example = model, count, example
        self._hooks: list[Any] = []

    def __enter__(self) -> ModulesOf:
        self._hooks = [
            module.register_forward_hook(lambda _module, _inputs, output, name=name: self._keep(name, output))
            for name, module in self._model.named_modules()
            if module is not self._model or next(module.children(), None) is None
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _keep(self, name: str, output: Any) -> None:
        found = first_tensor(output)
        if found is not None and is_per_example(found, self._count):
            self.kept.append((name, found[self._example].detach().double().cpu().clone()))


def first_difference(before: Sequence[tuple[str, Tensor]], after: Sequence[tuple[str, Tensor]]) -> str:
    """The first module whose output differs; empty where none does."""
    for (name, one), (_, other) in zip(before, after, strict=False):
        if one.shape == other.shape and change_between(one, other) > MIXED:
            return name
    return ""
