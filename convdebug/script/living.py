"""Optimizers that are not kept alive by being known."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator

from torch.optim import Optimizer


class LivingOptimizers(list[Optimizer]):
    """Looks like a list of those optimizers that the script still holds."""

    def __init__(self, optimizers: Iterable[Optimizer] = ()) -> None:
        super().__init__()
        self._references = [weakref.ref(each) for each in optimizers]

    def _alive(self) -> list[Optimizer]:
        return [optimizer for reference in self._references if (optimizer := reference()) is not None]

    def append(self, optimizer: Optimizer) -> None:
        self._references.append(weakref.ref(optimizer))

    def __iter__(self) -> Iterator[Optimizer]:
        return iter(self._alive())

    def __len__(self) -> int:
        return len(self._alive())

    def __bool__(self) -> bool:
        return any(reference() is not None for reference in self._references)

    def __getitem__(self, place: int) -> Optimizer:  # type: ignore[override]
        return self._alive()[place]

    def __contains__(self, optimizer: object) -> bool:
        return any(reference() is optimizer for reference in self._references)
