"""Where the weights start; every initializer but ``default`` sets the biases to zero."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from convdebug.settings import ModelConfig

Layer = nn.Linear | nn.Conv2d
Sample = Callable[[], Tensor]
"""Gives inputs of the training split, as the network sees them."""


def layers(model: nn.Module) -> list[Layer]:
    """The layers with weights, in the order in which they were built."""
    return [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def fan_in(layer: Layer) -> int:
    """How many numbers one unit sums."""
    return layer.weight[0].numel()


@torch.no_grad()
def _fill(model: nn.Module, fill: Callable[[Layer], object]) -> None:
    for layer in layers(model):
        fill(layer)
        if layer.bias is not None:
            layer.bias.zero_()


def default(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """Leave the weights as the model made them."""


def zero(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    _fill(model, lambda layer: nn.init.zeros_(layer.weight))


def constant(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    _fill(model, lambda layer: nn.init.constant_(layer.weight, settings.init_constant))


def gaussian(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    _fill(model, lambda layer: nn.init.normal_(layer.weight, std=settings.init_std))


def xavier(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """N(0, 1)/√fan_in, the lecture's form."""
    _fill(model, lambda layer: nn.init.normal_(layer.weight, std=1 / math.sqrt(fan_in(layer))))


def glorot(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    _fill(model, lambda layer: nn.init.xavier_uniform_(layer.weight))


def he(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """N(0, 1)·√(2/fan_in)."""
    _fill(model, lambda layer: nn.init.kaiming_normal_(layer.weight))


def orthogonal(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    _fill(model, lambda layer: nn.init.orthogonal_(layer.weight))
