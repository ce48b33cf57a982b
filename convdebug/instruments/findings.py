"""What the batches of one evaluation gave, gathered to means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Amount = float | Tensor
"""A number, on a device still a tensor: reading it would make the device wait."""


@dataclass
class Mean:
    """A mean weighted by the number of examples."""

    total: Amount = 0.0
    examples: Amount = 0
    filled: bool = False

    def add(self, value: Amount, examples: int) -> None:
        self.add_sum(value * examples, examples)

    def add_sum(self, total: Amount, examples: Amount) -> None:
        self.total, self.examples = self.total + total, self.examples + examples
        self.filled = True

    def take_in(self, other: Mean) -> None:
        self.total, self.examples = self.total + other.total, self.examples + other.examples
        self.filled = self.filled or other.filled

    def value(self, batch_size: int | None = None) -> Amount:
        """The mean over examples; with `batch_size` that of a loss which is summed over batches of that size."""
        examples = self.examples.clamp(min=1) if isinstance(self.examples, Tensor) else max(self.examples, 1)
        return self.total / examples * (batch_size or 1)


@dataclass
class Findings:
    """The mean of each loss function, and the share of right answers."""

    losses: dict[str, Mean] = field(default_factory=dict)
    accuracy: Mean = field(default_factory=Mean)

    def add_loss(self, name: str, value: Amount, examples: int) -> None:
        self.losses.setdefault(name, Mean()).add(value, examples)

    def take_in(self, other: Findings) -> None:
        for name, mean in other.losses.items():
            self.losses.setdefault(name, Mean()).take_in(mean)
        self.accuracy.take_in(other.accuracy)

    def __bool__(self) -> bool:
        return bool(self.losses) or self.accuracy.filled


def per_example(value: Tensor, reduction: str, examples: int) -> Amount:
    """The loss of one example, whatever the reduction was."""
    if value.numel() != 1:
        return amount(value.detach().float().mean())
    return amount(value) / max(examples, 1) if reduction == "sum" else amount(value)


def amount(value: Tensor) -> Amount:
    """A number where the tensor is at hand, else the tensor."""
    return float(value) if value.device.type == "cpu" else value.detach().float().reshape(())


def count_equal(output: Tensor, left: Any, right: Any, ignored: int | None = None) -> tuple[Amount, Amount] | None:
    """How many entries are equal, of how many, if one side is the answer that `output` gives (its class, its sign).

    Where the loss `ignored` a class, neither that nor labels below zero count.
    """
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)) or output.dim() == 0:
        return None
    if left.numel() != right.numel() or left.device != right.device:
        return None
    for answer in answers_of(output, left.numel()):
        for side, labels in ((left, right), (right, left)):
            if side.device == answer.device and bool((side.reshape(-1) == answer).all()):
                return _equal_among_known(answer, labels.reshape(-1), ignored)
    return None


def _equal_among_known(answer: Tensor, labels: Tensor, ignored: int | None) -> tuple[Amount, Amount]:
    equal = labels == answer
    if ignored is None or labels.is_floating_point():
        return amount(equal.sum()), labels.numel()
    known = (labels >= 0) & (labels != ignored)
    return amount((equal & known).sum()), amount(known.sum())


def answers_of(output: Tensor, count: int) -> list[Tensor]:
    """What scores may be taken to say, flattened (count,): the best class, or which side of 0 or of one half."""
    if output.dim() > 1 and output.shape[1] > 1 and output.numel() // output.shape[1] == count:
        return [output.argmax(1).reshape(-1)]
    if output.dim() > 2 and output.numel() // output.shape[-1] == count:
        return [output.argmax(-1).reshape(-1)]
    if output.numel() == count:
        flat = output.reshape(-1)
        return [(flat > 0).to(flat.dtype), (flat > 0.5).to(flat.dtype)]
    return []
