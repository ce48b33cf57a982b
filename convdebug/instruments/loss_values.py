"""What each loss function said by itself, before the loop added, divided or scaled anything."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .accuracy import BINARY_LOSSES, CLASS_LOSSES
from .instrument import Instrument, Moment, Scene
from .losses import computed_again, favours_classes, has_weights
from .probe import probing
from .table import Table

OF_NUMBERS = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
"""Losses of a regression: what they say of the best constant answer is what guessing gives."""


FIRST_STEPS = 64
FIRST_ROWS = 5
"""As many rows as a rule looks at for the loss at the start."""
UNKNOWN = 0
"""Classes of a loss whose weights move what guessing gives."""


class LossValues(Instrument):
    """`loss/<function>`: the mean over its calls in a step, for example `loss/cross_entropy`.

    At the first steps `class-loss/<function>/<classes>` too, the mean over its calls with scores for so many classes:
    two heads with one function each begin at a chance of their own. 0 classes: guessing's loss is not known.

    Of a regression `guess/<function>` too: what the function says of the batch's mean label given as answer to all of
    its examples. As that mean is taken from so few labels, a squared error is corrected by N / (N − 1).
    """

    name: ClassVar[str] = "loss-values"
    weight: ClassVar[float] = 0.2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self.first_rows = Table(scene.run)
        self._rows = 0

    def record(self, moment: Moment) -> None:
        values: dict[str, list[Tensor]] = {}
        by_classes: dict[str, list[Tensor]] = {}
        for said in moment.losses:
            if said.value.device == self.scene.device:
                mean = said.value.float().mean()
                values.setdefault(f"loss/{said.name}", []).append(mean)
                if said.classes is not None and self._rows < FIRST_ROWS:
                    by_classes.setdefault(f"class-loss/{said.name}/{said.classes}", []).append(mean)
        self._rows += 1
        guess = guess_of(moment) if values else None
        if guess is not None:
            values[f"guess/{moment.loss_name}"] = [guess]
        self._write(self.table, moment.step, values)
        self._write(self.first_rows, moment.step, by_classes)

    def _write(self, table: Table, step: int, values: dict[str, list[Tensor]]) -> None:
        if values:
            row, names = torch.stack([torch.stack(parts).mean() for parts in values.values()]), tuple(values)
            self.scene.readback.put(row, lambda numbers: table.append(step, names, numbers))


def classes_of(name: str, scores: Any, reduction: str) -> int | None:
    """Between how many classes a loss tells, of which it says the mean; None for another, UNKNOWN if it is weighted.

    Weights of classes are divided out of a mean again by the losses of several classes, and only by those.
    """
    if reduction == "sum" or not isinstance(scores, Tensor) or not scores.dim():
        return None
    if name in CLASS_LOSSES:
        weighted = reduction != "mean" and has_weights(name)
        return UNKNOWN if weighted else int(scores.shape[1 if scores.dim() > 1 else 0])
    if name in BINARY_LOSSES:
        return UNKNOWN if favours_classes(name) else 2
    return None


def guess_of(moment: Moment) -> Tensor | None:
    """The mean loss of answering with the mean label; None for other losses than those of a regression."""
    name, scores, labels = moment.loss_name, moment.scores, moment.labels
    if name not in OF_NUMBERS or scores is None or labels is None or moment.loss_reduction != "mean":
        return None
    count = len(labels) if labels.dim() else 0
    if count < 2 or labels.shape != scores.shape or labels.device != scores.device or not labels.is_floating_point():
        return None
    with torch.no_grad(), probing():
        labels = labels.detach().float()
        found = computed_again(name, labels.mean(0, keepdim=True).expand_as(labels), labels)
    return found * (count / (count - 1)) if name == "mse_loss" else found
