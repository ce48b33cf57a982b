"""The share of right answers in the batch, seen where the loss function is given scores and labels."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from .instrument import Instrument, Moment, Scene
from .table import Table

CLASS_LOSSES = frozenset({"cross_entropy", "nll_loss"})


def share_right(loss_name: str | None, scores: Tensor, labels: Tensor) -> Tensor | None:
    """The accuracy of scores (N, C, …) against labels (N, …), or of binary scores; None where it has no meaning.

    Labels below zero are those a loss ignores; they count neither as right nor as wrong.
    """
    if loss_name in CLASS_LOSSES:
        axis = 1 if scores.dim() > 1 else 0
        classes = labels.argmax(axis) if labels.is_floating_point() else labels
        right = (scores.argmax(axis) == classes) & (classes >= 0)
        return right.sum() / (classes >= 0).sum()
    if loss_name == "binary_cross_entropy_with_logits":
        return ((scores > 0) == (labels > 0.5)).float().mean()
    if loss_name == "binary_cross_entropy":
        return ((scores > 0.5) == (labels > 0.5)).float().mean()
    return None


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
        share = share_right(moment.loss_name, scores, labels)
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
