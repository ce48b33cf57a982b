"""What a model trains with and does not know of: tensors in its plain lists, which no optimizer holds."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .backward import roots
from .hearing import Hearer
from .instrument import Moment, Scene
from .stepping import held_parameters

MOST_NODES = 50_000
MOST_WALKS = 8
"""Backward passes of other models may come first."""
DEPTH = 3
"""So many containers in each other are looked into."""
MOST_PARTS = 1000
COMPARED = 64


def leaves_of(tensor: Tensor, most: int | None = None) -> list[Tensor]:
    """The tensors that a backward pass from here would give a gradient to, in the order in which they are met.

    None beyond `most` nodes of the graph.
    """
    found: dict[int, Tensor] = {}
    seen: set[Any] = set()
    waiting: list[Any] = [tensor.grad_fn]
    while waiting and (most is None or len(seen) < most):
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            found[id(leaf)] = leaf
        waiting.extend(following for following, _ in reversed(node.next_functions))
    return list(found.values())[::-1]


def hidden_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that require gradients in plain attributes, lists and dicts of a model, none of its parameters."""
    own = {id(parameter) for parameter in model.parameters()}
    found: dict[int, tuple[str, Tensor]] = {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for attribute, value in module.__dict__.items():
            if attribute not in ("_parameters", "_buffers", "_modules"):
                for path, tensor in _tensors_in(value, prefix + attribute, DEPTH):
                    if tensor.requires_grad and tensor.is_leaf and id(tensor) not in own:
                        found.setdefault(id(tensor), (path, tensor))
    return dict(found.values())


def _tensors_in(value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, nn.Module):
        yield from ((f"{path}.{name}", parameter) for name, parameter in value.named_parameters())
    elif isinstance(value, list | tuple | dict) and depth:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in islice(parts, MOST_PARTS):
            yield from _tensors_in(part, f"{path}.{key}", depth - 1)


def met_from(losses: Sequence[Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those that a backward pass from these losses gives a gradient to."""
    met = {id(leaf) for loss in losses for leaf in leaves_of(loss, MOST_NODES)}
    return {name: tensor for name, tensor in tensors.items() if id(tensor) in met}


def without_held(tensors: dict[str, Tensor], optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """Those that none of these optimizers, and none that is alive, holds (a walk over all living objects)."""
    held = held_parameters(optimizers)
    left = {name: tensor for name, tensor in tensors.items() if id(tensor) not in held}
    if not left:
        return left
    held |= held_parameters([each for each in gc.get_objects() if issubclass(type(each), Optimizer)])
    return {name: tensor for name, tensor in left.items() if id(tensor) not in held}


def fingerprint(tensor: Tensor) -> Tensor:
    """A few of its values, to see whether anybody moves it."""
    return tensor.detach().reshape(-1)[:COMPARED].clone()


class Unregistered(Hearer):
    """The event `unregistered` {tensors: {name: shape}}, once: what receives gradients and is in no optimizer.

    Looked for in the graph of the first loss that trains the model, and once more after an update: what was moved in
    the meantime, or made anew, is in somebody's care.
    """

    name: ClassVar[str] = "unregistered"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._first: dict[str, tuple[weakref.ref[Tensor], Tensor]] | None = None
        self._first_step = 0
        self._walks = 0
        self._over = False
        self._step: int | None = None
        self._seconds = 0.0

    def arm(self, moment: Moment) -> None:
        if not self._over:
            super().arm(moment)
            self._step = moment.step
        self.listen(not self._over)

    def disarm(self) -> None:
        self._step = None
        self.listen(False)

    def backward_begins(self) -> None:
        if self._over or self._step is None or (self._first is not None and self._step <= self._first_step):
            return
        started = self.scene.clock()
        self._look(self._step)
        self._seconds += self.scene.clock() - started

    def _look(self, step: int) -> None:
        self._walks += 1
        hidden = hidden_tensors(self.scene.inner)
        if not hidden:
            self._over = self._walks > 1
            return
        hidden = met_from(roots(), hidden)
        if self._first is not None:
            self._tell(step, hidden)
        elif hidden:
            hidden = without_held(hidden, self.scene.optimizers)
            self._first_step = step
            self._first = {name: (weakref.ref(tensor), fingerprint(tensor)) for name, tensor in hidden.items()}
            self._over = not hidden
        self._over = self._over or self._walks >= MOST_WALKS

    def _tell(self, step: int, hidden: dict[str, Tensor]) -> None:
        first = self._first or {}
        still = {
            name: list(tensor.shape)
            for name, tensor in hidden.items()
            if name in first and first[name][0]() is tensor and torch.equal(first[name][1], fingerprint(tensor))
        }
        if still:
            self._over = True
            self.scene.run.event("unregistered", step, tensors=still)

    def inner_seconds(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds
