"""Any classifier of torchvision.models with fresh weights, fitted to the data's channels and classes."""

import torch
from torch import nn
from torchvision import models

from convdebug.catalogue.models.parts import Recipe
from convdebug.errors import UserError, nearest

SIDE_OUTPUTS = ("googlenet", "inception_v3")
"""Models that give further outputs while training unless told not to."""


def torchvision_model(recipe: Recipe) -> nn.Module:
    """The model behind ``torchvision:NAME``; its ReLUs become the chosen activation and nothing works in place."""
    name = recipe.settings.name.removeprefix("torchvision:")
    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"model.name is 'torchvision:{name}'; torchvision.models has no {name}{nearest(name, known)}")
    plain = {"aux_logits": False, "init_weights": True} if name in SIDE_OUTPUTS else {}
    net = models.get_model(name, weights=None, num_classes=recipe.classes, **plain)
    _fit_channels(net, recipe.channels(1))
    _replace_activations(net, recipe)
    _set_dropout(net, recipe)
    _try_out(net, recipe)
    return net


def _fit_channels(net: nn.Module, channels: int) -> None:
    """Let the first convolution take the data's channels."""
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    if first.in_channels != channels:
        shape = (first.out_channels, channels, *first.kernel_size)
        first.in_channels, first.weight = channels, nn.Parameter(nn.init.kaiming_normal_(torch.empty(shape)))


def _replace_activations(net: nn.Module, recipe: Recipe) -> None:
    if recipe.settings.activation == "maxout":
        raise UserError(f"model {recipe.settings.name} cannot use maxout, which needs twice the units")
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6) and recipe.settings.activation != "relu":
                setattr(module, name, recipe.activation())
            elif hasattr(child, "inplace"):
                setattr(child, "inplace", False)  # noqa: B010


def _set_dropout(net: nn.Module, recipe: Recipe) -> None:
    """``regularization.dropout`` decides, also where torchvision's own default is another."""
    dropouts = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    if recipe.dropout and not dropouts:
        raise UserError(f"model {recipe.settings.name} has no dropout; regularization.dropout must be 0")
    for module in dropouts:
        module.p = recipe.dropout


@torch.no_grad()
def _try_out(net: nn.Module, recipe: Recipe) -> None:
    """Many models need pictures of a certain size: say so before the run begins."""
    try:
        net.eval()(torch.zeros(2, *recipe.input_shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        shape = "×".join(map(str, recipe.input_shape))
        why = str(error).splitlines()[0]
        raise UserError(f"model {recipe.settings.name} cannot take inputs of {shape}: {why}") from None
    net.train()
