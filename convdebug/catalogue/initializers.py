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


def random_walk(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """N(0, 1)·g/√fan_in, g such that the logarithm of a gradient's length walks without drift.

    Sussillo and Abbott 2014: g = √2·exp(1.2/(max(n, 6) − 2.4)) for rectifiers, exp(1/(2n)) for units that are straight
    around zero; n is the fan-in.
    """
    rectifies = settings.activation in ("relu", "leaky-relu", "prelu")

    def gain(n: int) -> float:
        return math.sqrt(2) * math.exp(1.2 / (max(n, 6) - 2.4)) if rectifies else math.exp(1 / (2 * n))

    _fill(model, lambda layer: nn.init.normal_(layer.weight, std=gain(fan_in(layer)) / math.sqrt(fan_in(layer))))


def data_dependent(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """Gaussian, then each unit scaled and shifted to mean 0 and deviation 1 on training inputs.

    The within-layer step of Krähenbühl et al. 2015.
    """
    _fill(model, lambda layer: nn.init.normal_(layer.weight, std=1 / math.sqrt(fan_in(layer))))

    def standardize(layer: Layer, outputs: Tensor) -> None:
        flat = outputs.transpose(0, 1).flatten(1)
        mean, std = flat.mean(1), flat.std(1).clamp(min=1e-6)
        layer.weight.div_(std.view(-1, *[1] * (layer.weight.dim() - 1)))
        if layer.bias is not None:
            layer.bias.copy_(-mean / std)

    _layer_by_layer(model, sample(), standardize)


def lsuv(model: nn.Module, settings: ModelConfig, sample: Sample) -> None:
    """Orthogonal, then each layer scaled to output variance 1 on training inputs (Mishkin and Matas 2015)."""
    orthogonal(model, settings, sample)
    _layer_by_layer(model, sample(), lambda layer, outputs: layer.weight.div_(outputs.std().clamp(min=1e-6)))


@torch.no_grad()
def _layer_by_layer(model: nn.Module, inputs: Tensor, adjust: Callable[[Layer, Tensor], object]) -> None:
    """Run forward once; ``adjust`` changes each layer by its outputs, and the next layers see the changed ones."""

    def hook(layer: nn.Module, arguments: tuple[Tensor], outputs: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        adjust(layer, outputs)
        return layer.forward(arguments[0])

    handles = [layer.register_forward_hook(hook) for layer in layers(model)]
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    for name, value in model.named_buffers():
        value.copy_(buffers[name])
