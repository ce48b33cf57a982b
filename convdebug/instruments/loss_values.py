"""What each loss function said by itself, before the loop added, divided or scaled anything."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .instrument import Instrument, Moment, Scene
from .table import Table


class LossValues(Instrument):
    """`loss/<function>`: the mean over its calls in a step, for example `loss/cross_entropy`."""

    name: ClassVar[str] = "loss-values"
    weight: ClassVar[float] = 0.2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)

    def record(self, moment: Moment) -> None:
        values: dict[str, list[Tensor]] = {}
        for name, value in moment.losses:
            if value.device == self.scene.device:
                values.setdefault(f"loss/{name}", []).append(value.float().mean())
        if values:
            row = torch.stack([torch.stack(parts).mean() for parts in values.values()])
            names = tuple(values)
            self.scene.readback.put(row, lambda numbers: self.table.append(moment.step, names, numbers))
