"""Finds in the graph of a loss where outputs (N,) and labels (N, 1) were blown up against each other, by hand too."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_NODES = 48
"""So many operators before the loss are looked at."""
MOST_MOVES = 4
COMPARING = frozenset({"Sub", "MseLoss", "SmoothL1Loss", "HuberLoss"})
MEASURING = frozenset({"Pow", "Abs", "Mul"})
"""What makes a loss of a difference, and keeps the difference until the backward pass is over."""
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
    for node, consumer in _near(loss.grad_fn):
        if operator(node) not in COMPARING or len(node.next_functions) != 2:
            continue
        operands = [each for each, _ in node.next_functions if each is not None]
        before, after = zip(*(_shapes(each, node) for each in operands), strict=True)
        if (count, count) not in after:
            continue
        if len(operands) > 1:
            return None
        small = before[0] in ((count,), (count, 1))
        if small and (before[0] == tuple(answer) or not _is_widened(operands[0])) and _pairs(node, consumer, count):
            found = found or (before[0], after[0])
    return found


def operator(node: Any) -> str:
    """The operator that a node of a graph is of, "Sub" for example; "" for none."""
    return "" if node is None else str(node.name()).rpartition("::")[2].rstrip("0123456789").removesuffix("Backward")


def _near(root: Any) -> Iterator[tuple[Any, Any]]:
    """The nodes nearest to the loss, each with the one that uses its result."""
    waiting, seen = deque([(root, None)]), 0
    while waiting and seen < MOST_NODES:
        node, consumer = waiting.popleft()
        if node is None or not node.next_functions:
            continue
        seen += 1
        yield node, consumer
        waiting.extend((each, node) for each, _ in node.next_functions)


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


def _pairs(node: Any, consumer: Any, count: int) -> bool:
    """Whether the differences (N, N) are those of N numbers and N others: every row is the first one, moved."""
    with torch.no_grad():
        rows = _difference(node, consumer)
        if rows is None or rows.shape != (count, count):
            return False
        moved = rows - rows[:, :1]
        return bool((moved - moved[:1]).abs().amax() <= ALIKE * rows.abs().amax())


def _difference(node: Any, consumer: Any) -> Tensor | None:
    """What a comparison computed before it was squared or made positive; None where nobody keeps it."""
    try:
        if operator(node) != "Sub":
            return (node._saved_self - node._saved_target).float()
        kept = consumer._saved_self if operator(consumer) in MEASURING else None
    except (AttributeError, RuntimeError):  # written over in place, or freed
        return None
    return None if kept is None else kept.float()
