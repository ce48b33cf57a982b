"""What the network answers: the range of its scores, the sum of a row, whether answers depend on the input."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("output/min", "output/max", "output/row_sum", "output/batch_std")


def output_row(scores: Tensor) -> Tensor:
    """Minimum, maximum, mean sum of a row, and the deviation over the batch averaged over the outputs (4,)."""
    scores = scores.reshape(len(scores), -1).float()
    low, high = torch.aminmax(scores)
    mean = scores.mean(0)
    spread = (scores - mean).square_().mean(0).sqrt_().mean()
    return torch.stack([low, high, mean.sum(), spread])


class Outputs(Instrument):
    """`output/{min,max,row_sum,batch_std}` of what the loss is given, else of the model's first output."""

    name: ClassVar[str] = "outputs"
    weight: ClassVar[float] = 0.2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self.needs_root = True

    def record(self, moment: Moment) -> None:
        scores = moment.scores if moment.scores is not None else first_tensor(moment.output)
        self.needs_root = moment.scores is None
        if scores is None or scores.dim() == 0 or scores.numel() == 0:
            return
        self.scene.readback.put(output_row(scores.detach()), lambda row: self.table.append(moment.step, SERIES, row))
