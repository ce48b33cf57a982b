"""The first layer's weights as pictures."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from .anatomy import own_weight
from .instrument import Instrument, Moment, Scene

MOST_FILTERS = 64


class Filters(Instrument):
    """`filters`: (O, C, kH, kW) of the first convolution, (O, C, H, W) of a first linear layer on images."""

    name: ClassVar[str] = "filters"
    weight: ClassVar[float] = 0.2
    rarity: ClassVar[int] = 16
    grows: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._found = first_layer(scene.inner)

    def record(self, moment: Moment) -> None:
        name, layer = self._found or ("", None)
        weight = None if layer is None else own_weight(layer)
        if weight is None:
            return
        pictures = as_pictures(weight.detach()[:MOST_FILTERS], self.scene.info.get("data", {}).get("input_shape"))
        if pictures is not None:
            step, run = moment.step, self.scene.run
            self.scene.readback.put(
                pictures.clone(), lambda array: run.blob("filters", step, np.array(array), name=name)
            )


def first_layer(model: nn.Module) -> tuple[str, nn.Module] | None:
    """The first convolution or linear layer that is not lazy, with the name of its weight."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(
            module._parameters.get("weight"), nn.UninitializedParameter
        ):
            return (f"{name}.weight" if name else "weight"), module
    return None


def as_pictures(weight: Tensor, input_shape: list[int] | None) -> Tensor | None:
    """A weight as (O, C, H, W); None for a linear layer that does not look at images."""
    if weight.dim() == 4:
        return weight
    if input_shape is None or len(input_shape) != 3 or math.prod(input_shape) != weight.shape[1]:
        return None
    return weight.reshape(-1, *input_shape)
