"""Finds what an evaluation finds: the loss and accuracy of forward passes that no backward pass follows."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .accuracy import share_right
from .anatomy import first_tensor
from .fetching import Fetched, Source, base_of, labels_among, tensors_in
from .findings import Amount, Findings, amount, per_example, share_equal
from .instrument import Moment
from .losses import computed_again


@dataclass
class Pass:
    """The forward pass that was seen last without recorded gradients, and what has been counted of it."""

    output: Tensor | None
    labels: Tensor | None
    source: Source
    losses: set[str] = field(default_factory=set)
    counted: bool = False


class Evaluations:
    """Gathers the losses and answers of one evaluation and writes their means when training goes on.

    What is computed while no gradients are recorded is an evaluation; on the data that is trained on it is left out.
    What is computed with gradients, in evaluation mode, is one unless a backward pass follows before the next forward
    pass in training mode. `write` is given `loss` and `accuracy`, as far as they were seen; where the loop has no loss
    function there, the training's own is computed on the labels that the DataLoader gave.
    """

    def __init__(self, write: Callable[[str, dict[str, Amount]], None]) -> None:
        self._write = write
        self._sure: dict[Source, Findings] = {}
        self._foreign, self._maybe = Findings(), Findings()
        self._pass: Pass | None = None
        self._sources: list[Source] = []
        self._trained_on: Source = None
        self._fetched = 0
        self._trained_shape: torch.Size | None = None
        self._trained_tensor: weakref.ref[Tensor] | None = None
        self._training: tuple[str, str, int, int | None] | None = None
        self.silent = False

    # training, as far as evaluations must know it

    def training_sees(self, inputs: Any) -> None:
        """The model is given a batch to train on."""
        self._end_pass()
        tensor = first_tensor(inputs)
        if tensor is not None:
            self._trained_tensor, self._trained_shape = weakref.ref(base_of(tensor)), tensor.shape
        self._fetched = Fetched.count
        if Fetched.source is not None:
            self._trained_on = Fetched.source

    def training_is(self, moment: Moment) -> None:
        """Remember what the training minimizes, so that the evaluation's loss is the same kind of number."""
        scores = moment.scores
        if moment.loss_name is not None and scores is not None:
            size = int(scores.shape[0]) if scores.dim() else None
            self._training = (moment.loss_name, moment.loss_reduction or "mean", scores.dim(), size)

    def backward(self) -> None:
        """What was computed with gradients was training after all."""
        self._maybe = Findings()

    def training_goes_on(self) -> None:
        """The next forward pass in training mode, or the end: the evaluation, if there was one, is over."""
        self._end_pass()
        if self._maybe:
            self._findings(None).take_in(self._maybe)
            self._maybe = Findings()
        if self._foreign and not self._sure:
            self._sure[None] = self._foreign
        found, self._sure, self._foreign = self._sure, {}, Findings()
        if not self.silent:
            for source, findings in found.items():
                self._write(self._name_of(source), self._means(findings))

    def forget(self) -> None:
        """The loop tells itself what its evaluations find."""
        self.silent, self._sure, self._pass = True, {}, None
        self._foreign, self._maybe = Findings(), Findings()

    # an evaluation

    def saw_forward(self, inputs: Any, output: Any) -> None:
        """The model answered while no gradients were recorded."""
        self._end_pass()
        if self.silent or self._is_trained_on(inputs):
            return
        tensor = first_tensor(output)
        labels, fresh = None, Fetched.count > self._fetched
        if tensor is not None and tensor.dim() and fresh:
            labels = labels_among(Fetched.batch, tensors_in(inputs), int(tensor.shape[0]))
        self._pass = Pass(None if tensor is None else tensor.detach(), labels, Fetched.source if fresh else None)

    def saw_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str, sure: bool = True) -> None:
        """A loss function was called, without recorded gradients (`sure`) or in evaluation mode."""
        if self.silent:
            return
        seen = self._pass if sure else None
        examples = int(scores.shape[0]) if isinstance(scores, Tensor) and scores.dim() else 1
        findings = self._maybe if not sure else self._foreign if seen is None else self._findings(seen.source)
        if seen is not None and name in seen.losses:  # another model's, or another part of the same loss
            findings = self._foreign
        elif seen is not None:
            seen.losses.add(name)
        findings.add_loss(name, per_example(value, reduction, examples), examples)
        if isinstance(scores, Tensor) and isinstance(labels, Tensor):
            share = share_right(name, scores, labels)
            self._count_answers(findings, share, examples)

    def saw_equal(self, left: Any, right: Any) -> None:
        """Two tensors were compared: if one of them is what the model answered, the other one is the labels."""
        seen = self._pass
        if self.silent or seen is None or seen.counted or seen.output is None:
            return
        share = share_equal(seen.output, left, right)
        if share is not None:
            self._count_answers(self._findings(seen.source), share, int(seen.output.shape[0]))

    def _end_pass(self) -> None:
        """What the loop did not compute where it could be seen is computed here."""
        seen, self._pass = self._pass, None
        if seen is None or seen.output is None or seen.labels is None or self._training is None:
            return
        name, reduction, dimensions, _ = self._training
        output, labels = seen.output, seen.labels.to(seen.output.device)
        if output.dim() != dimensions or labels.shape != output.shape[:1] + output.shape[2:]:
            return
        examples = int(output.shape[0])
        with torch.no_grad():
            if not seen.losses and name in ("cross_entropy", "nll_loss"):
                value = computed_again(name, output, labels.long())
                self._findings(seen.source).add_loss(name, per_example(value, reduction, examples), examples)
            if not seen.counted:
                share = share_right(name, output, labels)
                if share is not None:
                    self._findings(seen.source).accuracy.add(amount(share), examples)

    def _count_answers(self, findings: Findings, share: Tensor | None, examples: int) -> None:
        seen = self._pass
        if share is not None and not (seen is not None and seen.counted):
            findings.accuracy.add(amount(share), examples)
            if seen is not None:
                seen.counted = True

    def _is_trained_on(self, inputs: Any) -> bool:
        tensor = first_tensor(inputs)
        if Fetched.count > self._fetched:
            return Fetched.source == self._trained_on
        if self._trained_on is not None and tensor is not None and tensor.shape == self._trained_shape:
            return True  # nothing was fetched since: the batch that was trained on, once more
        trained = self._trained_tensor() if self._trained_tensor is not None else None
        return tensor is not None and trained is not None and base_of(tensor) is trained

    def _findings(self, source: Source) -> Findings:
        return self._sure.setdefault(source, Findings())

    def _name_of(self, source: Source) -> str:
        """`val` for what was evaluated first, `val-2`, … for further data."""
        if source not in self._sources:
            self._sources.append(source)
        place = self._sources.index(source) + 1
        return "val" if place == 1 else f"val-{place}"

    def _means(self, findings: Findings) -> dict[str, Amount]:
        means: dict[str, Amount] = {}
        known, reduction, _, size = self._training or (None, "mean", 0, None)
        own = next((each for each in findings.losses if each[0].isupper()), None)  # a loss module of the script's own
        name = own or (known if known in findings.losses else next(iter(findings.losses), None))
        if name is not None:
            means["loss"] = findings.losses[name].value(size if reduction == "sum" and not own else None)
        if findings.accuracy.examples:
            means["accuracy"] = findings.accuracy.value()
        return means
