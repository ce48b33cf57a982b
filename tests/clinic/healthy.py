"""The healthy, as different as trainings are that nobody needs to worry about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler

from .families import patterns, regression, stripes, yes_or_no
from .patient import Patient
from .regimen import Regimen, adam, sgd
from .sick import ALL, BASE, all_but_head, head_only, layers

NORMALIZED = ("batchnorm", "residual")


def flipped(pictures: Tensor) -> Tensor:
    """Every picture or its mirror image; the patterns are mirrored with their class, so it costs accuracy only."""
    noise = 0.3 * torch.randn_like(pictures)
    return pictures + noise


def to_unit(inputs: Tensor) -> Tensor:
    """Pixels in [0, 1]."""
    return ((inputs * 60 + 128).clamp(0, 255) / 255).contiguous()


def backbone_frozen(model: nn.Module) -> None:
    """A frozen backbone that the optimizer does not hold."""
    for parameter in all_but_head(model):
        parameter.requires_grad_(False)


def warm(model: nn.Module) -> None:
    """Start from weights that have learned something already: a pretrained network with a new head."""
    regimen = Regimen(steps=60, evaluate=False)
    data = regimen.material()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for start in range(0, 600, 32):
        optimizer.zero_grad()
        F.cross_entropy(model(data.inputs[start : start + 32]), data.labels[start : start + 32]).backward()
        optimizer.step()
    optimizer.zero_grad()
    layers(model)[-1].reset_parameters()


def one_cycle(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=170)


def warmed_up(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.LinearLR(optimizer, 0.01, 1.0, total_iters=40)


def cosine(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=160)


def in_steps(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.MultiStepLR(optimizer, [80, 130], gamma=0.1)


def variations() -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """What is different, in which families, and how."""
    few = ("convnet", "transformer")
    yield "as it is", ALL, {}
    yield "gradient descent without momentum", ALL[:4], {"optimizer": sgd(0.1, 0.0)}
    yield "nesterov", ("convnet", "residual"), {"optimizer": sgd(0.05, 0.9, nesterov=True)}
    yield "adam", ALL, {"optimizer": adam()}
    yield "adamw", few, {"optimizer": partial(torch.optim.AdamW, lr=2e-3, weight_decay=0.05)}
    yield "rmsprop", ("mlp", "batchnorm"), {"optimizer": partial(torch.optim.RMSprop, lr=1e-3)}
    yield "adagrad", ("mlp", "convnet"), {"optimizer": partial(torch.optim.Adagrad, lr=0.02)}
    yield "cosine to zero", ("convnet", "residual"), {"schedule": cosine}
    yield "one cycle", ("convnet", "batchnorm"), {"schedule": one_cycle}
    yield "warm-up", ("transformer", "residual"), {"schedule": warmed_up}
    yield "decay in steps", ("mlp", "batchnorm"), {"schedule": in_steps}
    yield "dropout", ("convnet", "batchnorm"), {"architecture": {"drop": 0.5}}
    yield "a little dropout", ("residual", "transformer"), {"architecture": {"drop": 0.1}}
    yield "augmentation", ("convnet", "residual"), {"augment": flipped}
    yield (
        "label smoothing",
        ("mlp", "convnet", "transformer"),
        {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
    )
    yield "weight decay", ("mlp", "batchnorm", "residual"), {"optimizer": sgd(0.05, weight_decay=5e-4)}
    yield "accumulation", ("convnet", "transformer"), {"accumulate": 4, "batch": 8}
    yield "clipping", ("mlp", "transformer"), {"clip": 1.0}
    yield (
        "frozen backbone",
        ("convnet", "batchnorm"),
        {
            "alter": backbone_frozen,
            "trained": head_only,
            "optimizer": adam(5e-3),
            "steps": 320,
        },
    )
    yield "fine-tuning", ("convnet", "residual"), {"alter": warm, "optimizer": adam(5e-4)}
    yield "batches of eight", ("mlp", "convnet", "batchnorm"), {"batch": 8, "optimizer": sgd(0.01)}
    yield "batches of 256", ("mlp", "residual"), {"batch": 256, "steps": 80}
    yield "pixels in [0, 1]", ("convnet", "batchnorm"), {"inputs": to_unit}
    yield "tanh", ("mlp", "convnet"), {"architecture": {"activation": nn.Tanh}}
    yield "gelu", ("convnet", "residual"), {"architecture": {"activation": nn.GELU}}
    yield "leaky relu", ("mlp", "batchnorm"), {"architecture": {"activation": partial(nn.LeakyReLU, 0.1)}}
    yield "silu in six layers", ("mlp",), {"architecture": {"activation": nn.SiLU, "depth": 6}, "optimizer": adam()}
    yield "six layers", ("mlp",), {"architecture": {"depth": 6}, "optimizer": adam()}
    yield "stripes", ("convnet", "residual"), {"data": stripes, "optimizer": adam(3e-3)}
    yield "twenty classes", ("convnet", "transformer"), {"data": partial(patterns, classes=20), "steps": 240}
    yield "two classes", ("mlp", "batchnorm"), {"data": partial(patterns, classes=2, strength=0.4)}
    yield "grey pictures", ("mlp", "residual"), {"data": partial(patterns, channels=1, noise=0.7)}
    yield "regression", ("mlp", "convnet"), {"data": regression, "loss": nn.MSELoss(), "optimizer": adam()}
    yield (
        "yes or no",
        ("mlp", "batchnorm"),
        {"data": yes_or_no, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam()},
    )
    yield "bfloat16", ("convnet", "transformer"), {"half": True}
    yield "moving average of the weights", ("convnet",), {"average": True}
    yield (
        "l-bfgs",
        ("mlp",),
        {"optimizer": partial(torch.optim.LBFGS, lr=0.5, max_iter=4), "batch": 640, "steps": 20},
    )


ADJUSTED: dict[tuple[str, str], dict[str, Any]] = {
    ("twenty classes", "convnet"): {"optimizer": adam()},
    ("pixels in [0, 1]", "convnet"): {"optimizer": adam()},
}


def patients() -> list[Patient]:
    """All the healthy."""
    found = []
    for variation, families, change in variations():
        for family in families:
            settings = {"family": family} | BASE.get(family, {}) | change | ADJUSTED.get((variation, family), {})
            found.append(Patient(f"healthy: {variation}, {family}", family, Regimen(**settings)))
    return found
