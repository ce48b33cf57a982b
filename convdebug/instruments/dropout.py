"""What dropout costs: the loss of a training batch as it was learned from, and of the same batch without dropout."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .origin.isolation import copied
from .probe import unnoticed
from .table import Table

SERIES = ("dropout/training_loss", "dropout/evaluation_loss")
STRONG = 0.5
"""Up to here nobody asks: the usual share, and it never costs a forward pass."""


def dropped_shares(model: nn.Module) -> dict[str, float]:
    """The share that each dropout module drops, by the module's name; modules that drop nothing are left out."""
    found = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.modules.dropout._DropoutNd)
    }
    return {name or "dropout": float(module.p) for name, module in found.items() if module.p > 0}


def mean_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of scores (N, C) against labels (N,), by hand: a loss function of torch would be heard."""
    logs = torch.log_softmax(scores.detach().float(), dim=1)
    return -logs.gather(1, labels.clamp(0, scores.shape[1] - 1)[:, None]).mean()


class Dropout(Instrument):
    """`info["dropout"]` {module: share}; where one is above 0.5, `dropout/{training,evaluation}_loss` now and then.

    Random state, buffers and modes of the model are as they were afterwards.
    """

    name: ClassVar[str] = "dropout"
    weight: ClassVar[float] = 0.2
    rarity: ClassVar[int] = 8

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        shares = dropped_shares(scene.inner)
        scene.tell(dropout=shares)
        self.needs_root = any(share > STRONG for share in shares.values())

    def record(self, moment: Moment) -> None:
        scores, labels = moment.scores, moment.labels
        if not self.needs_root or moment.inputs is None or scores is None or labels is None:
            return
        if moment.loss_name != "cross_entropy" or scores.dim() != 2 or labels.shape != scores.shape[:1]:
            return
        with unnoticed(self.scene.inner, evaluation=True):
            answers = first_tensor(self.scene.inner(*copied(moment.inputs), **copied(moment.keywords)))
        if answers is None or answers.shape != scores.shape:
            return
        pair = torch.stack([mean_entropy(scores, labels), mean_entropy(answers, labels)])
        self.scene.readback.put(pair, lambda row: self.table.append(moment.step, SERIES, row))
