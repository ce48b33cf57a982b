"""What the nets of the catalogue are put together from: the recipe, and a stack of blocks with readable names."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from convdebug.catalogue import entry_of
from convdebug.catalogue.regularizers import dropout
from convdebug.errors import UserError
from convdebug.settings import ModelConfig


@dataclass(frozen=True)
class Recipe:
    """What a net is built for: the shape of one input, (C, H, W) or (D,), the classes, and the settings."""

    input_shape: tuple[int, ...]
    classes: int
    settings: ModelConfig
    dropout: float = 0.0

    def channels(self, side: int) -> int:
        """The channels of a picture; UserError if the inputs are no pictures of at least ``side`` pixels."""
        if len(self.input_shape) != 3 or min(self.input_shape[1:]) < side:
            shape = "×".join(map(str, self.input_shape))
            raise UserError(
                f"model {self.settings.name} needs pictures of at least {side}×{side}; the data has {shape}"
            )
        return self.input_shape[0]

    def filters(self, count: int) -> int:
        """``count`` times the width, at least one."""
        return max(1, round(count * self.settings.width))

    def units(self, count: int) -> int:
        """How many units the layer before the activation needs: maxout takes the larger of each two."""
        return 2 * count if self.settings.activation == "maxout" else count

    def activation(self) -> nn.Module:
        """A fresh activation."""
        return entry_of("model.activation", self.settings.activation).load()()


class Stack:
    """A net that grows layer by layer: ``conv1``, ``conv1_relu``, ``pool1``, …, ``fc1``, …, ``output``."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.blocks: OrderedDict[str, nn.Module] = OrderedDict()
        self.width = recipe.input_shape[0]

    def conv(self, name: str, filters: int, size: int, padding: int) -> None:
        """Convolution of ``filters`` filters with its activation."""
        bias = self.recipe.settings.batch_norm == "none"
        units = self.recipe.units(filters)
        self.blocks[f"conv{name}"] = nn.Conv2d(self.width, units, size, padding=padding, bias=bias)
        self._activate(f"conv{name}", nn.BatchNorm2d, filters)

    def pool(self, name: str, layer: nn.Module) -> None:
        """A pooling layer."""
        self.blocks[f"pool{name}"] = layer

    def flatten(self) -> None:
        """One vector an example; finds its length by one forward pass of zeros."""
        self.blocks["flatten"] = nn.Flatten()
        net = nn.Sequential(self.blocks).eval()
        with torch.no_grad():
            self.width = net(torch.zeros(1, *self.recipe.input_shape)).shape[1]
        net.train()

    def dense(self, name: str, units: int) -> None:
        """Dense layer of ``units`` units with activation and dropout."""
        bias = self.recipe.settings.batch_norm == "none"
        self.blocks[f"fc{name}"] = nn.Linear(self.width, self.recipe.units(units), bias=bias)
        self._activate(f"fc{name}", nn.BatchNorm1d, units)
        if self.recipe.dropout:
            self.blocks[f"fc{name}_dropout"] = dropout(self.recipe.dropout)

    def _activate(self, layer: str, norm: type[nn.Module], units: int) -> None:
        settings = self.recipe.settings
        if settings.batch_norm == "before":
            self.blocks[f"{layer}_norm"] = norm(self.recipe.units(units))
        self.blocks[f"{layer}_{settings.activation.replace('-', '_')}"] = self.recipe.activation()
        if settings.batch_norm == "after":
            self.blocks[f"{layer}_norm"] = norm(units)
        self.width = units

    def classifier(self) -> nn.Sequential:
        """The finished net, with one score a class."""
        self.blocks["output"] = nn.Linear(self.width, self.recipe.classes)
        return nn.Sequential(self.blocks)
