"""Finds what an evaluation finds: the loss and accuracy of forward passes that no backward pass follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .accuracy import share_right
from .anatomy import first_tensor
from .instrument import Moment

Amount = float | Tensor
"""A number, on a device still a tensor: reading it would make the device wait."""


@dataclass
class Mean:
    """A mean weighted by the number of examples."""

    total: Amount = 0.0
    examples: int = 0
    batches: int = 0

    def add(self, value: Amount, examples: int) -> None:
        self.total = self.total + value * examples
        self.examples += examples
        self.batches += 1

    def value(self, batch_size: int | None = None) -> Amount:
        """The mean over examples; with `batch_size` the mean of a loss that is summed over batches of that size."""
        return self.total / max(self.examples, 1) * (batch_size or 1)


@dataclass
class Findings:
    """What the batches of one evaluation gave: the means of each loss function, the share of right answers."""

    losses: dict[str, Mean] = field(default_factory=dict)
    accuracy: Mean = field(default_factory=Mean)

    def add_loss(self, name: str, value: Amount, examples: int) -> None:
        self.losses.setdefault(name, Mean()).add(value, examples)

    def merge(self, other: Findings) -> None:
        for name, mean in other.losses.items():
            mine = self.losses.setdefault(name, Mean())
            mine.total, mine.examples = mine.total + mean.total, mine.examples + mean.examples
            mine.batches += mean.batches
        mine = self.accuracy
        mine.total, mine.examples = mine.total + other.accuracy.total, mine.examples + other.accuracy.examples
        mine.batches += other.accuracy.batches

    def __bool__(self) -> bool:
        return bool(self.losses) or self.accuracy.examples > 0


@dataclass
class Pass:
    """The forward pass that was seen last without recorded gradients, and what has been counted of it."""

    output: Tensor | None
    counted: bool = False


class Evaluations:
    """Gathers the losses and answers of one evaluation and writes their means when training goes on.

    What is computed while no gradients are recorded is an evaluation. What is computed with gradients, in evaluation
    mode, is one unless a backward pass follows before the next forward pass in training mode.
    `write` is given `loss` and `accuracy`, as far as they were seen.
    """

    def __init__(self, write: Callable[[dict[str, Amount]], None]) -> None:
        self._write = write
        self._sure, self._maybe = Findings(), Findings()
        self._pass: Pass | None = None
        self.training_loss: str | None = None
        self.training_reduction = "mean"
        self.batch_size: int | None = None
        self.silent = False

    def training_is(self, moment: Moment) -> None:
        """Remember what the training minimizes, so that the evaluation's loss is the same kind of number."""
        self.training_loss, self.training_reduction = moment.loss_name, moment.loss_reduction or "mean"
        self.batch_size = int(moment.scores.shape[0]) if moment.scores is not None and moment.scores.dim() else None

    def saw_forward(self, output: Any) -> None:
        """The model answered while no gradients were recorded."""
        self._pass = Pass(first_tensor(output))

    def saw_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str, sure: bool = True) -> None:
        """A loss function was called, without recorded gradients (`sure`) or in evaluation mode."""
        if self.silent:
            return
        findings = self._sure if sure else self._maybe
        examples = int(scores.shape[0]) if isinstance(scores, Tensor) and scores.dim() else 1
        findings.add_loss(name, per_example(value, reduction, examples), examples)
        if isinstance(scores, Tensor) and isinstance(labels, Tensor):
            self._count_answers(findings, share_right(name, scores, labels), examples)

    def saw_equal(self, left: Any, right: Any) -> None:
        """Two tensors were compared: if one of them is what the model answered, the other one is the labels."""
        seen = self._pass
        if self.silent or seen is None or seen.counted or seen.output is None or torch.is_grad_enabled():
            return
        share = share_equal(seen.output, left, right)
        if share is not None:
            self._count_answers(self._sure, share, int(seen.output.shape[0]))

    def backward(self) -> None:
        """What was computed with gradients was training after all."""
        self._maybe = Findings()

    def training_goes_on(self) -> None:
        """The next forward pass in training mode, or the end: the evaluation, if there was one, is over."""
        if self._maybe:
            self._sure.merge(self._maybe)
            self._maybe = Findings()
        self._pass = None
        if self._sure:
            findings, self._sure = self._sure, Findings()
            if not self.silent:
                self._write(self._means(findings))

    def forget(self) -> None:
        """The loop tells itself what its evaluations find."""
        self.silent, self._sure, self._maybe, self._pass = True, Findings(), Findings(), None

    def _count_answers(self, findings: Findings, share: Tensor | None, examples: int) -> None:
        if share is not None and not (self._pass is not None and self._pass.counted):
            findings.accuracy.add(amount(share), examples)
            if self._pass is not None:
                self._pass.counted = True

    def _means(self, findings: Findings) -> dict[str, Amount]:
        means: dict[str, Amount] = {}
        known = self.training_loss
        name = known if known in findings.losses else next(iter(findings.losses), None)
        if name is not None:
            size = self.batch_size if self.training_reduction == "sum" else None
            means["loss"] = findings.losses[name].value(size)
        if findings.accuracy.examples:
            means["accuracy"] = findings.accuracy.value()
        return means


def per_example(value: Tensor, reduction: str, examples: int) -> Amount:
    """The loss of one example, whatever the reduction was."""
    if value.numel() != 1:
        return amount(value.detach().float().sum() / max(examples, 1) if reduction == "sum" else value.float().mean())
    return amount(value) / max(examples, 1) if reduction == "sum" else amount(value)


def amount(value: Tensor) -> Amount:
    """A number where the tensor is at hand, else the tensor."""
    return float(value) if value.device.type == "cpu" else value.detach().float().reshape(())


def share_equal(output: Tensor, left: Any, right: Any) -> Tensor | None:
    """The share of equal entries if one side is the answer that `output` gives (its class, or above or below)."""
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)) or output.dim() == 0:
        return None
    if left.shape != right.shape and left.numel() != right.numel():
        return None
    for answer in answers_of(output, left.numel()):
        for side in (left, right):
            if (
                side.numel() == answer.numel()
                and side.device == answer.device
                and bool((side.reshape(-1) == answer).all())
            ):
                return (left.reshape(-1) == right.reshape(-1)).float().mean()
    return None


def answers_of(output: Tensor, count: int) -> list[Tensor]:
    """What scores may be taken to say, flattened (count,): the best class, or which side of 0 or of one half."""
    if output.dim() > 1 and output.numel() // output.shape[1] == count and output.shape[1] > 1:
        return [output.argmax(1).reshape(-1)]
    if output.numel() == count:
        flat = output.reshape(-1)
        return [(flat > 0).to(flat.dtype), (flat > 0.5).to(flat.dtype)]
    return []
