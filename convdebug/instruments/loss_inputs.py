"""What the loss functions are given: the shapes of scores and labels, their range, and what computed them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .blown_up import operator
from .instrument import Instrument, Moment, Scene
from .loss_values import OF_NUMBERS
from .losses import has_weights, listen, stop_listening
from .table import Table

MOST_VALUES = 65536
"""Of a large batch of scores only the first examples are looked at, about so many values."""
MOST_CALLS = 3
"""Calls of one loss function in one step; further ones are left out."""
MOST_OPERATORS = 8
ELEMENTWISE = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "kl_div"})
"""Losses that blow up two shapes that differ, with no more than a warning."""
BINARY = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits"})
"""Losses whose labels are shares from 0 to 1, and that take any number."""
PASSING_ON = frozenset(
    {"View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "Permute", "Select", "Slice", "Clone"}
    | {"ToCopy", "Alias", "T", "Contiguous", "Index", "Expand", "Cat"}
)
"""Operators that only move values: what computed the scores is looked for behind them."""


def producer_of(scores: Tensor) -> str:
    """The operator that computed some scores, "Softmax" for example; "" where autograd does not tell."""
    node = scores.grad_fn
    for _ in range(MOST_OPERATORS):
        name = operator(node)
        if name not in PASSING_ON or not node.next_functions:  # type: ignore[union-attr]
            return name
        node = node.next_functions[0][0]  # type: ignore[union-attr]
    return ""


def softmax_axis(scores: Tensor) -> int | None:
    """The axis of the softmax, or of its logarithm, that computed some scores; None where something else did."""
    node = scores.grad_fn
    axis = getattr(node, "_saved_dim", None) if operator(node) in ("Softmax", "LogSoftmax") else None
    if axis is None or not scores.dim():  # a function of the user's own may be called so too
        return None
    return (axis - 2**64 if axis >= 2**63 else axis) % scores.dim()


def input_row(scores: Tensor) -> Tensor:
    """Minimum, maximum, and how far the sum of a row is from 1 at most (3,); rows lie along axis 1, or are all."""
    scores = scores.float()
    low, high = torch.aminmax(scores)
    sums = scores.sum(1 if scores.dim() > 1 else 0)
    return torch.stack([low, high, (sums - 1).abs().amax()])


class LossInputs(Instrument):
    """`loss-input/<loss>/{min,max,sum_error}`, and the event `loss-seen` with what does not change from step to step.

    `<loss>` is the function's name, from its second call in a step on with a number (`cross_entropy.2`). The event
    names the loss, its reduction, the shapes of scores and labels, and the operator that computed the scores. Of
    binary losses and of those of a regression `label_min` and `label_max` too, where no mask and no weights can leave a
    label out.
    """

    name: ClassVar[str] = "loss-inputs"
    weight: ClassVar[float] = 0.2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._due = self._listens = False
        self._trouble: Exception | None = None
        self._calls: list[tuple[str, Tensor, Tensor, str, tuple[str, int | None]]] = []
        self._all_count: set[str] = set()
        """Calls that leave no label out: neither a mask nor weights of single values."""
        self._seen: dict[str, dict[str, Any]] = {}

    def arm(self, moment: Moment) -> None:
        self._due = True
        self._forget_calls()
        if not self._listens:
            self._listens = True
            listen(self._hear)

    def disarm(self) -> None:
        self._due = False
        self._forget_calls()

    def _forget_calls(self) -> None:
        self._calls.clear()
        self._all_count.clear()

    def fall_silent(self) -> None:
        if self._listens:
            self._listens = False
            stop_listening(self._hear)

    def finish(self) -> None:
        self.fall_silent()

    def _hear(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        if not self._due:
            return
        try:
            self._take(name, scores, labels, value, reduction)
        except Exception as problem:  # inside the user's loss: kept, and raised when the step is over
            self._trouble = problem

    def _take(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        count = sum(call[0].partition(".")[0] == name for call in self._calls)
        if count >= MOST_CALLS or not value.requires_grad:
            return
        if isinstance(scores, Tensor) and isinstance(labels, Tensor) and scores.requires_grad:
            known = f"{name}.{count + 1}" if count else name
            made = producer_of(scores), softmax_axis(scores)
            self._calls.append((known, scores.detach(), labels.detach(), reduction, made))
            if name in BINARY | OF_NUMBERS and labels.dim() and reduction != "none" and not has_weights(name):
                self._all_count.add(known)

    def record(self, moment: Moment) -> None:
        if self._trouble is not None:
            self.fall_silent()
            raise self._trouble
        names: list[str] = []
        rows: list[Tensor] = []
        for name, scores, labels, reduction, made in self._calls:
            self._tell(moment, name, scores, labels, reduction, made)
            if scores.numel() and scores.dim() and scores.is_floating_point() and scores.device == self.scene.device:
                names += [f"loss-input/{name}/{what}" for what in ("min", "max", "sum_error")]
                rows.append(input_row(_first_examples(scores)))
                if name in self._all_count and labels.numel() and labels.device == scores.device:
                    names += [f"loss-input/{name}/{what}" for what in ("label_min", "label_max")]
                    rows.append(torch.stack(torch.aminmax(_first_examples(labels.float()))))
        self._forget_calls()
        if rows:
            self._write(moment.step, tuple(names), torch.cat(rows))

    def _write(self, step: int, names: tuple[str, ...], row: Tensor) -> None:
        def use(values: np.ndarray) -> None:
            self.table.append(step, names, values)

        self.scene.readback.put(row, use)

    def _tell(
        self,
        moment: Moment,
        name: str,
        scores: Tensor,
        labels: Tensor,
        reduction: str,
        made: tuple[str, int | None],
    ) -> None:
        fixed = {
            "name": name.partition(".")[0],
            "reduction": reduction,
            "producer": made[0],
            "axis": made[1],
            "dimensions": [scores.dim(), labels.dim()],
            "broadcast": name.partition(".")[0] in ELEMENTWISE and blows_up(scores, labels),
        }
        if self._seen.get(name) != fixed:
            self._seen[name] = fixed
            shapes = {"scores": list(scores.shape), "labels": list(labels.shape)}
            self.scene.run.event("loss-seen", moment.step, call=name, **fixed, **shapes)


def _first_examples(scores: Tensor) -> Tensor:
    each = max(1, scores.numel() // len(scores))
    return scores[: max(1, MOST_VALUES // each)]


def blows_up(scores: Tensor, labels: Tensor) -> bool:
    """Whether the two are blown up against each other: the result is larger than either, and nobody asked for it.

    (N, 1) against (N,) gives N × N. Two shapes of the same length, (N, 1) against (1, N), are taken to be meant.
    """
    if scores.dim() == labels.dim() or not scores.dim() or not labels.dim():
        return False
    try:
        blown_up = torch.broadcast_shapes(scores.shape, labels.shape)
    except RuntimeError:
        return False
    return blown_up.numel() > max(scores.numel(), labels.numel())
