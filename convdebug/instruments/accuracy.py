"""The share of right answers in the batch, seen where the loss function is given scores and labels."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .instrument import Instrument, Moment, Scene
from .losses import ignored_label
from .table import Table

CLASS_LOSSES = frozenset({"cross_entropy", "nll_loss"})
BINARY_LOSSES = {"binary_cross_entropy_with_logits": 0.0, "binary_cross_entropy": 0.5}
"""Losses of binary scores, and the score that stands between the two answers."""
SMALL = 2**16


def right_and_known(loss_name: str | None, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor] | None:
    """How many of the scores (N, C, …) are right and how many labels (N, …) there are; None where it has no meaning.

    Labels that the loss ignores count neither as right nor as known. Binary scores have one label each.
    """
    if loss_name in CLASS_LOSSES:
        axis = 1 if scores.dim() > 1 else 0
        if is_small_on_host(scores, labels):
            return _counted_on_host(scores.detach().numpy().argmax(axis), labels.numpy(), ignored_label(loss_name))
        classes = labels.argmax(axis) if labels.is_floating_point() else labels
        known = classes >= 0
        if not labels.is_floating_point():
            known &= classes != ignored_label(loss_name)
        return ((scores.argmax(axis) == classes) & known).sum(), known.sum()
    if loss_name in BINARY_LOSSES:
        right = (scores > BINARY_LOSSES[loss_name]) == (labels > 0.5)
        return right.sum(), right.new_full((), right.numel(), dtype=torch.int64)
    return None


def is_small_on_host(scores: Tensor, labels: Tensor) -> bool:
    """Whether numpy counts a few times faster than torch, which takes some ten microseconds for each operator."""
    plain = type(scores) is Tensor and type(labels) is Tensor and scores.dtype == torch.float32
    return plain and scores.is_cpu and labels.is_cpu and labels.dtype == torch.int64 and scores.numel() <= SMALL


def _counted_on_host(answers: np.ndarray, classes: np.ndarray, ignored: int) -> tuple[Tensor, Tensor]:
    if classes.size and classes.min() >= 0 and ignored < 0:
        return torch.tensor(np.count_nonzero(answers == classes)), torch.tensor(classes.size)
    known = (classes >= 0) & (classes != ignored)
    return torch.tensor(np.count_nonzero((answers == classes) & known)), torch.tensor(np.count_nonzero(known))


def share_right(loss_name: str | None, scores: Tensor, labels: Tensor) -> Tensor | None:
    """The accuracy of scores (N, C, …) against labels (N, …), or of binary scores; None where it has no meaning."""
    found = right_and_known(loss_name, scores, labels)
    return None if found is None else found[0] / found[1]


def share_of_step(moment: Moment) -> Tensor | None:
    """The accuracy over all forward passes of a step, by the first loss function that has answers."""
    if len(moment.answers) == 1:
        _, name, scores, labels = moment.answers[0]
        return share_right(name, scores, labels)
    chosen, right, known = "", [], []
    for answer in moment.answers:
        if answer.loss_name == (chosen or answer.loss_name):
            found = right_and_known(answer.loss_name, answer.scores, answer.labels)
            if found is not None:
                chosen = answer.loss_name
                right.append(found[0])
                known.append(found[1])
    return torch.stack(right).sum() / torch.stack(known).sum() if chosen else None


class Accuracy(Instrument):
    """`train/accuracy`, unless the loop hands it to `step` itself; and what the loss says about the classes."""

    name: ClassVar[str] = "accuracy"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)

    def record(self, moment: Moment) -> None:
        scores, labels = moment.scores, moment.labels
        if scores is None or labels is None:
            return
        self._tell_classes(moment, scores)
        if "train/accuracy" in moment.given:
            return
        share = share_of_step(moment)
        if share is not None:
            self.scene.readback.put(
                share.reshape(1), lambda row: self.table.append(moment.step, ("train/accuracy",), row)
            )

    def _tell_classes(self, moment: Moment, scores: Tensor) -> None:
        info = self.scene.info
        if "loss" not in info:
            self.scene.tell(loss={"name": moment.loss_name, "reduction": moment.loss_reduction})
        if info.get("num_classes") is None and moment.loss_name in CLASS_LOSSES and scores.dim() > 1:
            self.scene.tell(num_classes=int(scores.shape[1]))
        classes = info.get("num_classes")
        if info.get("expected_initial_loss") is None and classes and moment.loss_reduction == "mean":
            self.scene.tell(expected_initial_loss=math.log(classes))
