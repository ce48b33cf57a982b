"""Finds in the graph of a loss where outputs (N,) and labels (N, 1) were blown up against each other, by hand too."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MOST_NODES = 48
"""So many operators before the loss are looked at."""
MOST_MOVES = 4
COMPARING = frozenset({"Sub", "MseLoss", "SmoothL1Loss", "HuberLoss"})
MOVING = frozenset({"Mul", "Div", "Neg", "Add", "Sub", "Rsub"})
"""What a difference may be scaled or moved by before an operator that keeps what it was given uses it."""
ALIKE = 1e-3

Shape = tuple[int, ...]


def blown_up(loss: Tensor, answer: Sequence[int]) -> tuple[Shape, Shape] | None:
    """The shape of the outputs (N,) or (N, 1) that were compared with constants, and of the result (N, N).

    `answer` is the shape of what the model answered, (N,) or (N, 1), else there is nothing to find. None where a
    dimension was added on purpose, where outputs are compared with each other (a ranking), or where the constants are
    not the same for every output: all pairs of outputs and labels are what is looked for. Asked before the backward
    pass, which throws away what is looked at.
    """
    count = int(answer[0]) if len(answer) else 0
    if count < 2 or tuple(answer) not in ((count,), (count, 1)):
        return None
    found = None
    consumers = _near(loss.grad_fn)
    for node in consumers:
        if operator(node) not in COMPARING or len(node.next_functions) != 2:
            continue
        operands = [each for each, _ in node.next_functions if each is not None]
        before, after = zip(*(_shapes(each, node) for each in operands), strict=True)
        if (count, count) not in after:
            continue
        if len(operands) > 1:
            return None
        small = before[0] in ((count,), (count, 1))
        if small and (before[0] == tuple(answer) or not _is_widened(operands[0])) and _pairs(node, consumers, count):
            found = found or (before[0], after[0])
    return found


def operator(node: Any) -> str:
    """The operator that a node of a graph is of, "Sub" for example; "" for none."""
    return "" if node is None else str(node.name()).rpartition("::")[2].rstrip("0123456789").removesuffix("Backward")


def _near(root: Any) -> dict[Any, list[Any]]:
    """The nodes nearest to the loss, nearest first, each with those that use its result."""
    waiting, consumers = deque([(root, None)]), dict[Any, list[Any]]()
    while waiting:
        node, consumer = waiting.popleft()
        if node is None or not node.next_functions:
            continue
        if node in consumers:
            consumers[node].append(consumer)
        elif len(consumers) < MOST_NODES:
            consumers[node] = [consumer]
            waiting.extend((each, node) for each, _ in node.next_functions)
    return consumers


def _shape(node: Any) -> Shape:
    """The shape of what a node computed."""
    metadata = getattr(node, "_input_metadata", None)
    return tuple(int(size) for size in metadata[0].shape) if metadata else ()


def _shapes(operand: Any, node: Any) -> tuple[Shape, Shape]:
    """The shape of an operand, and what it was blown up to."""
    source = operand.next_functions[0][0] if operator(operand) == "Expand" else None
    return (_shape(operand), _shape(node)) if source is None else (_shape(source), _shape(operand))


def _is_widened(operand: Any) -> bool:
    """Whether a dimension was added by name: whoever does that means all pairs."""
    node = operand
    for _ in range(MOST_MOVES):
        if operator(node) == "Unsqueeze":
            return True
        node = node.next_functions[0][0] if node is not None and node.next_functions else None
    return False


def _pairs(node: Any, consumers: dict[Any, list[Any]], count: int) -> bool:
    """Whether the differences (N, N) are those of N numbers and N others: every row is the first one, moved."""
    with torch.no_grad():
        rows = _difference(node, consumers)
        if rows is None or rows.shape != (count, count):
            return False
        moved = rows - rows[:, :1]
        return bool((moved - moved[:1]).abs().amax() <= ALIKE * rows.abs().amax())


def _difference(node: Any, consumers: dict[Any, list[Any]]) -> Tensor | None:
    """What a comparison computed, perhaps scaled and moved, as an operator keeps it that uses it; None where none does.

    Of MSE and the like their own two arguments.
    """
    if operator(node) != "Sub":
        kept, other = _kept(node, "self"), _kept(node, "target")
        return None if kept is None or other is None else (kept - other).float()
    nodes = [node]
    for _ in range(MOST_MOVES):
        users = [user for each in nodes for user in consumers.get(each, ()) if user is not None]
        for user in users:
            kept = _kept(user, "self")
            if kept is not None and kept.shape == _shape(node):
                return kept.float()
        nodes = [user for user in users if operator(user) in MOVING]
    return None


def _kept(node: Any, what: str) -> Tensor | None:
    """A tensor that a node keeps for the backward pass; None where it keeps none, or it was written over or freed."""
    try:
        found = getattr(node, f"_saved_{what}", None)
    except RuntimeError:
        return None
    return found if isinstance(found, Tensor) else None
