"""Follows one backward pass node by node: which of them made NaN or infinity out of a finite gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .statistics import bad_rows, described, finite

MOST_NODES = 100_000
TORCHS_OWN = torch.autograd.grad  # as it was before anybody listens to it


@dataclass
class Failure:
    """A node of the graph whose gradients went bad: the operator, what it had kept, and what came in and went out."""

    node: Any
    name: str
    sequence: int
    made: bool
    """Bad out of finite, rather than passed on."""
    kept: list[dict[str, Any]] = field(default_factory=list)
    gradient: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    rows: list[int] | None = None
    to: list[Any] = field(default_factory=list)


class BackwardTrace:
    """Hooks on every node of the graph behind some outputs; remembers those through which bad gradients went."""

    def __init__(self, outputs: Sequence[Tensor], batch: int | None) -> None:
        self.failures: dict[Any, Failure] = {}
        self.batch = batch
        self._handles = [
            node.register_hook(self._hook(node)) for node in nodes_behind([out.grad_fn for out in outputs])
        ]

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def producer(self) -> Failure | None:
        """The earliest node to make something bad that reached a parameter; else the earliest at all."""
        makers = [failure for failure in self.failures.values() if failure.made]
        reached = [failure for failure in makers if self._reaches_a_leaf(failure)]
        return max(reached or makers, key=lambda failure: failure.sequence, default=None)

    def _reaches_a_leaf(self, failure: Failure) -> bool:
        seen: set[Any] = set()
        waiting = list(failure.to)
        while waiting:
            node = waiting.pop()
            if not node.next_functions:
                return True
            further = self.failures.get(node)
            if further is not None and node not in seen:
                seen.add(node)
                waiting.extend(further.to)
        return False

    def _hook(self, node: Any) -> Any:
        def see(into: tuple[Tensor | None, ...], out_of: tuple[Tensor | None, ...]) -> None:
            bad = [place for place, each in enumerate(into) if each is not None and not finite(each)]
            if bad:
                self.failures[node] = self._failure(node, into, out_of, bad)

        return see

    def _failure(
        self, node: Any, into: tuple[Tensor | None, ...], out_of: tuple[Tensor | None, ...], bad: list[int]
    ) -> Failure:
        made = all(each is None or finite(each) for each in out_of)
        following = [node.next_functions[place][0] for place in bad if place < len(node.next_functions)]
        to = [each for each in following if each is not None]
        failure = Failure(node, operator_of(node), node._sequence_nr(), made, to=to)
        if made:
            worst = into[bad[0]]
            failure.kept = kept_by(node)
            failure.gradient = next((described(each, "gradient") for each in out_of if each is not None), {})
            failure.output = {} if worst is None else described(worst)
            failure.rows = None if worst is None else bad_rows(worst, self.batch)
        return failure


def nodes_behind(
    roots: Sequence[Any], until: set[Any] | frozenset[Any] = frozenset(), most: int = MOST_NODES
) -> list[Any]:
    """The nodes of the graph behind some nodes, without the leaves and without those in `until`."""
    seen: dict[Any, None] = {}
    waiting = [root for root in roots if root is not None]
    while waiting and len(seen) < most:
        node = waiting.pop()
        if node in seen or node in until or not node.next_functions:
            continue
        seen[node] = None
        waiting.extend(further for further, _ in node.next_functions if further is not None)
    return list(seen)


def operator_of(node: Any) -> str:
    """`sqrt` for SqrtBackward0."""
    name = node.name().rpartition("::")[2]
    stem = name.partition("Backward")[0] or name
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in stem).lstrip("_")


def kept_tensors(node: Any) -> dict[str, Tensor]:
    """What an operator keeps for its backward pass, while it has not been freed: `self`, `other`, `result`, …"""
    found: dict[str, Tensor] = {}
    for name in dir(node):
        if name.startswith("_saved_"):
            try:
                value = getattr(node, name)
            except RuntimeError:  # freed already, or changed in place since
                continue
            if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
                found[name.removeprefix("_saved_")] = value
    return found


def kept_by(node: Any) -> list[dict[str, Any]]:
    """Statistics of what an operator keeps for its backward pass."""
    return [described(tensor, name) for name, tensor in kept_tensors(node).items()]


def gradients_of(begins: Sequence[tuple[Tensor, Tensor]], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of the inputs, going back from tensors with their gradients; nothing is added to any `.grad`."""
    outputs, gradients = [each for each, _ in begins], [each for _, each in begins]
    found = TORCHS_OWN(outputs, list(inputs), gradients, allow_unused=True, retain_graph=True)
    return [each for each in found if each is not None]
