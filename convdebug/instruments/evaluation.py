"""Finds what an evaluation finds: the loss and accuracy of forward passes that no backward pass follows."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .accuracy import CLASS_LOSSES, right_and_known
from .anatomy import first_tensor
from .evaluated import Whence
from .fetching import Fetched, Source, base_of, labels_among, shares_memory, tensors_in
from .findings import Amount, Findings, amount, count_equal, per_example
from .instrument import Moment
from .losses import computed_again, ignored_label
from .probe import probing
from .recalibration import is_recalibrating

ANSWER = "answer"
"""The name of a loss that is the model's own answer."""


@dataclass
class Pass:
    """The forward pass that was seen last without recorded gradients, and what has been counted of it."""

    examples: int
    source: Source
    fetched: int
    left_out: bool
    """On data that is trained on, or by which torch recomputes the statistics of batch norm."""
    doubtful: bool
    """On a batch that looks like the one that was trained on last."""
    inputs: Any = None
    """Until the model has answered."""
    output: Tensor | None = None
    labels: Tensor | None = None
    losses: set[str] = field(default_factory=set)
    counted: bool = False

    @property
    def counts(self) -> bool:
        """Whether this is an evaluation, as far as one can tell."""
        return not self.left_out and not self.doubtful


@dataclass
class Doubtful:
    """What was computed on some data with gradients, in evaluation mode: an evaluation or a step in the wrong mode."""

    findings: Findings = field(default_factory=Findings)
    loss: weakref.ref[Tensor] | None = None

    @property
    def is_let_go(self) -> bool:
        """Whether nobody holds its last loss any longer: no backward pass can have come from there."""
        return self.loss is not None and self.loss() is None


class Evaluations:
    """Gathers the losses and answers of one evaluation and writes their means when training goes on.

    What is computed while no gradients are recorded is an evaluation; on the data that is trained on it is left out.
    What is computed with gradients, in evaluation mode, is one unless a backward pass follows before the next forward
    pass in training mode. `write` is given `loss` and `accuracy`, as far as they were seen; where the loop has no loss
    function there, the training's own is computed on the labels that the DataLoader gave.
    """

    def __init__(
        self, write: Callable[[str, dict[str, Amount]], None], tell_part: Callable[[], None] = lambda: None
    ) -> None:
        self._write = write
        self._tell_part = tell_part
        """Told where the loss that was found is only a part of what the training minimizes."""
        self._added: frozenset[str] = frozenset()
        self._is_sum = True
        self._sure: dict[Source, Findings] = {}
        self._foreign = Findings()
        self._maybe: dict[Source, Doubtful] = {}
        self._pass: Pass | None = None
        self._sources: list[Source] = []
        self._trained_on: Source = None
        self._fetched = self._evaluated = 0  # batches up to the last pass of training, and up to that of an evaluation
        self._trained = False
        self._by_hand = False  # a batch to train on came from no loader: the last one fetched may be for validation
        self._left_out = 0  # examples of passes that were left out since training went on
        self._trained_shape: torch.Size | None = None
        self._trained_tensor: weakref.ref[Tensor] | None = None
        self._training: tuple[str, str, int, int | None] | None = None
        self.silent = False
        self.own = False
        """The training minimizes more than one loss function of torch, or scales it."""
        self.direct = True
        """The training's loss function is given the very tensor that the model answers, or a view of it."""
        self.loss_place: tuple[int, int] | None = None
        """Where the model answers with its own loss: its place among the answer's tensors, and how many these are."""

    # training, as far as evaluations must know it

    def training_sees(self, inputs: Any, goes_on: bool) -> None:
        """The model is given a batch to train on; `goes_on`: in training mode, so that no evaluation is under way."""
        if self._pass is not None:
            self._end_pass()
        if goes_on and (self._sure or self._maybe or self._foreign.losses or self._foreign.accuracy.filled):
            self.training_goes_on()
        self._left_out = 0
        given = inputs[0]
        plain = given and type(given[0]) is Tensor and given[0].is_floating_point()
        tensor = given[0] if plain else first_tensor(inputs)
        if tensor is None:  # words, as numbers
            tensor = next(iter(tensors_in(list(inputs))), None)
        if tensor is not None:
            base = base_of(tensor)
            if self._trained_tensor is None or self._trained_tensor() is not base:
                self._trained_tensor = weakref.ref(base)
            self._trained_shape = tensor.shape
        self._by_hand = self._by_hand or (self._trained and Fetched.count == self._fetched)
        self._trained, self._fetched = True, Fetched.count
        if Fetched.source is not None and not (self._by_hand and self._fetched == self._evaluated):
            self._trained_on = Fetched.source

    def training_is(self, moment: Moment) -> None:
        """Remember what the training minimizes, so that the evaluation's loss is the same kind of number."""
        scores = moment.scores
        if moment.loss_name is not None and scores is not None:
            size = int(scores.shape[0]) if scores.dim() else None
            self._training = (moment.loss_name, moment.loss_reduction or "mean", scores.dim(), size)

    def training_adds(self, names: frozenset[str], is_sum: bool) -> None:
        """The training minimizes what these functions say together, and whether that is their plain sum."""
        self._is_sum = self._is_sum and is_sum and (not self._added or names == self._added)
        self._added = self._added | names

    @property
    def may_be_training(self) -> bool:
        """Whether anything was computed with gradients, in evaluation mode: a backward pass tells what it was."""
        return bool(self._maybe)

    def backward_begins(self) -> None:
        """What was computed with gradients on the data that is trained on was training after all."""
        self._maybe.pop(Fetched.source, None)

    def backward_ended(self, trained: bool) -> None:
        """A backward pass through this model in evaluation mode is training too: the evaluation before it is over."""
        if self._maybe:
            self._maybe = {source: each for source, each in self._maybe.items() if trained and each.is_let_go}
        if trained:
            self.training_goes_on()

    def training_goes_on(self) -> None:
        """The next forward pass in training mode, or the end: the evaluation, if there was one, is over."""
        self._end_pass()
        maybe, self._maybe = self._maybe, {}
        for each in maybe.values():
            self._findings(None).take_in(each.findings)
        if self._foreign and not any(self._sure.values()):
            self._sure = {None: self._foreign}
        found, self._sure, self._foreign = self._sure, {}, Findings()
        if not self.silent:
            for source, findings in found.items():
                self._write(self._name_of(source), self._means(findings))

    def forget(self) -> None:
        """The loop tells itself what its evaluations find."""
        self.silent, self._sure, self._pass = True, {}, None
        self._foreign, self._maybe = Findings(), {}

    # an evaluation

    def begins(self, inputs: Any) -> None:
        """The model is given a batch while no gradients are recorded."""
        self._end_pass()
        self._evaluated = Fetched.count
        if self.silent:
            return
        tensor = first_tensor(inputs)
        fresh = Fetched.count > self._fetched
        self._pass = Pass(
            examples=int(tensor.shape[0]) if tensor is not None and tensor.dim() else 1,
            source=Fetched.source if fresh else None,
            fetched=Fetched.count,
            left_out=self._is_trained_on(tensor) or is_recalibrating(),
            doubtful=self._looks_trained_on(tensor),
            inputs=inputs,
        )
        if self._pass.left_out:
            self._left_out += self._pass.examples

    def whence(self, given: list[Tensor]) -> Whence | None:
        """Where a batch comes from that is given without recorded gradients; None if it may be of the training data."""
        for each in given:
            if self._is_trained_on(each) or self._is_trained_tensor(each) or self._looks_trained_on(each):
                return None
        if is_recalibrating():
            return None
        if Fetched.count <= self._fetched or Fetched.source is None:
            return Whence()
        return Whence(Fetched.source, self._trained_on is None or Fetched.source[0] != self._trained_on[0])

    def saw_forward(self, output: Any) -> None:
        """The model has answered; a loss that was heard since `begins` was computed by the model itself."""
        seen = self._pass
        if seen is None:
            return
        tensor, inputs, seen.inputs = first_tensor(output), seen.inputs, None
        seen.output = None if tensor is None else tensor.detach()
        if not seen.counts:
            return
        if tensor is not None and tensor.dim() and seen.fetched > self._fetched:
            seen.labels = labels_among(Fetched.batch, tensors_in(list(inputs)), int(tensor.shape[0]))
        value = self._loss_in(output)
        if value is not None:
            self._findings(seen.source).add_loss(ANSWER, amount(value.detach()), seen.examples)
            seen.losses.add(ANSWER)

    def _loss_in(self, output: Any) -> Tensor | None:
        if self.loss_place is None:
            return None
        place, count = self.loss_place
        parts = tensors_in(output)
        return parts[place] if len(parts) == count and parts[place].numel() == 1 else None

    def saw_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str, sure: bool = True) -> None:
        """A loss function was called, without recorded gradients (`sure`) or in evaluation mode."""
        if self.silent:
            return
        seen = self._pass_of(scores) if sure else None
        if (seen is not None and seen.left_out) or (sure and seen is None and self._gathered_in_training(scores)):
            return
        if seen is not None and (seen.doubtful or name in seen.losses):  # another part of the same loss
            seen = None
        examples = int(scores.shape[0]) if isinstance(scores, Tensor) and scores.dim() else 1
        findings = self._foreign if seen is None else self._findings(seen.source)
        if not sure:
            maybe = self._maybe.setdefault(Fetched.source, Doubtful())
            findings, maybe.loss = maybe.findings, weakref.ref(value)
            value = value.detach()
        if seen is not None:
            seen.losses.add(name)
        findings.add_loss(name, per_example(value, reduction, examples), examples)
        if isinstance(scores, Tensor) and isinstance(labels, Tensor):
            self._count_answers(findings, seen, _answers(name, scores, labels))

    def saw_equal(self, left: Any, right: Any) -> None:
        """Two tensors were compared: if one of them is what the model answered, the other one is the labels."""
        seen = self._pass
        if self.silent or seen is None or not seen.counts or seen.counted or seen.fetched != Fetched.count:
            return
        if seen.output is not None:
            found = count_equal(seen.output, left, right, self._ignored())
            self._count_answers(self._findings(seen.source), seen, found)

    def _ignored(self) -> int | None:
        """The class that the training's loss ignores; None where that is no loss of classes."""
        name = self._training[0] if self._training is not None else ""
        return ignored_label(name) if name in CLASS_LOSSES else None

    def _pass_of(self, scores: Any) -> Pass | None:
        """The pass under way or just over, unless the scores are another model's (an average of the weights).

        They are where a further batch was fetched since, or where the training's loss is given the model's answer
        itself and this one is not.
        """
        seen = self._pass
        if seen is None or seen.fetched != Fetched.count:
            return None
        if self.direct and seen.output is not None and isinstance(scores, Tensor):
            return seen if shares_memory(scores, seen.output) else None
        return seen

    def _gathered_in_training(self, scores: Any) -> bool:
        """Whether a loss over no single pass is that of answers gathered over data that is trained on.

        The last batch was fetched from there; or, without a loader, as many examples were left out.
        """
        if Fetched.count > self._fetched:
            return Fetched.source == self._trained_on
        count = int(scores.shape[0]) if isinstance(scores, Tensor) and scores.dim() else 0
        return count > 0 and count == self._left_out

    def _end_pass(self) -> None:
        """What the loop did not compute where it could be seen is computed here."""
        seen, self._pass = self._pass, None
        if seen is None or seen.output is None or seen.labels is None or self._training is None:
            return
        name, _, dimensions, _ = self._training
        output, labels = seen.output, seen.labels.to(seen.output.device)
        if output.dim() != dimensions or labels.shape != output.shape[:1] + output.shape[2:]:
            return
        examples = int(output.shape[0])
        with torch.no_grad():
            if not seen.losses and name in ("cross_entropy", "nll_loss"):
                value = computed_again(name, output, labels.long())
                self._findings(seen.source).add_loss(name, amount(value), examples)
            if not seen.counted:
                self._count_answers(self._findings(seen.source), None, _answers(name, output, labels))

    def _count_answers(self, findings: Findings, seen: Pass | None, found: tuple[Any, Any] | None) -> None:
        if found is not None and not (seen is not None and seen.counted):
            right, known = (amount(each) if isinstance(each, Tensor) else each for each in found)
            findings.accuracy.add_sum(right, known)
            if seen is not None:
                seen.counted = True

    def _is_trained_on(self, tensor: Tensor | None) -> bool:
        if Fetched.count > self._fetched:
            return Fetched.source == self._trained_on
        return self._is_trained_tensor(tensor)

    def _is_trained_tensor(self, tensor: Tensor | None) -> bool:
        trained = self._trained_tensor() if self._trained_tensor is not None else None
        return tensor is not None and trained is not None and base_of(tensor) is trained

    def _looks_trained_on(self, tensor: Tensor | None) -> bool:
        """Nothing was fetched since: it may be the batch that was trained on, once more."""
        fetched = Fetched.count > self._fetched or self._trained_on is None
        return not fetched and tensor is not None and tensor.shape == self._trained_shape

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
        if own is None and ANSWER in findings.losses and (self.own or known not in findings.losses):
            own = ANSWER
        name = own or (known if known in findings.losses else next(iter(findings.losses), None))
        if self._added and own is None and self._is_sum and self._added <= findings.losses.keys():
            means["loss"] = sum(findings.losses[each].value() for each in self._added)
        elif name is not None:
            if self._added and own is None:
                self._tell_part()
            means["loss"] = findings.losses[name].value(
                size if reduction == "sum" and not own and not self.own else None
            )
        if findings.accuracy.filled:
            means["accuracy"] = findings.accuracy.value()
        return means


def _answers(name: str, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor] | None:
    """Right answers and known labels; what is compared here is not a comparison of the loop's."""
    with probing():
        return right_and_known(name, scores, labels)
