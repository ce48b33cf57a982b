"""The healthy of a third referral: tables, waves, texts, points and pictures that are learned, some in odd ways."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from . import third_losses as losses
from . import third_material as material
from . import third_networks as networks
from . import third_practice as practice
from . import third_variants as variants
from .families import Data, patterns, yes_or_no
from .patient import Patient
from .referred_models import Change, Dense, Normed, ResNet, made, regimen_of
from .regimen import adam, sgd


def spiral(count: int = 2048) -> Data:
    """Two arms wound about each other in the plane."""
    generator = torch.Generator().manual_seed(64)
    labels = torch.randint(0, 2, (count + 256,), generator=generator)
    along = torch.rand(count + 256, generator=generator).sqrt()
    angle = 4.5 * along + math.pi * labels
    places = 2.5 * along[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return material.halves(places + 0.06 * torch.randn(count + 256, 2, generator=generator), labels, 2)


def one_picture(side: int = 48) -> Data:
    """Places in one picture and how bright it is there; every ninth place is held out."""
    line = torch.linspace(-1, 1, side)
    places = torch.cartesian_prod(line, line)
    bright = torch.sin(9 * places[:, 0]) * torch.cos(7 * places[:, 1]) + torch.sin(14 * places.prod(1))
    bright = ((bright - bright.mean()) / bright.std()).unsqueeze(1)
    held = torch.arange(side * side) % 9 == 4
    return Data(places[~held], bright[~held], places[held], bright[held], 1)


def kinds_and_columns() -> Data:
    """Two of twelve columns hold one of eight kinds; each kind moves the scores."""
    data = material.table(3072, classes=4, seed=65)

    def with_kinds(columns: Tensor) -> Tensor:
        kinds = (columns[:, :2] * 2 + 4).round().clamp(0, 7)
        return torch.cat([kinds, columns[:, 2:]], dim=1)

    return replace(data, inputs=with_kinds(data.inputs), val_inputs=with_kinds(data.val_inputs))


def minus_or_plus() -> Data:
    """Classes of -1 and 1, as the loss of soft margins asks for them."""
    data = yes_or_no(seed=66)
    return replace(data, labels=2 * data.labels - 1, val_labels=2 * data.val_labels - 1)


def grades() -> Data:
    """A grade of one to five as four answers to whether it is above."""
    data = material.prices(seed=67)

    def above(values: Tensor) -> Tensor:
        return (values > torch.tensor([-0.9, -0.3, 0.3, 0.9])).float()

    return Data(data.inputs, above(data.labels), data.val_inputs, above(data.val_labels), 4)


def six_to_one() -> Data:
    """One of three classes has a sixth of the examples of the others, and a weight for it."""
    data = patterns(2048, classes=3, noise=1.5, seed=68)
    keep = (data.labels > 0) | (torch.arange(2048) % 6 == 0)
    return replace(data, inputs=data.inputs[keep], labels=data.labels[keep])


def directions() -> Data:
    """The direction of a vector of six, to be found in a picture."""
    data = patterns(2048, classes=6, noise=0.7, seed=69)
    axes = F.normalize(torch.randn(6, 6, generator=torch.Generator().manual_seed(70)))
    return Data(data.inputs, axes[data.labels], data.val_inputs, axes[data.val_labels], 6)


def faster_then_cosine(optimizer: Optimizer) -> Any:
    """From nearly nothing up within thirty steps, then a cosine down to nothing."""
    up = lr_scheduler.LinearLR(optimizer, start_factor=1e-4, total_iters=30)
    down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=130)
    return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[30])


def by_the_root(optimizer: Optimizer) -> Any:
    """The rate falls with the root of the steps."""
    return lr_scheduler.LambdaLR(optimizer, lambda step: (1 + step / 10) ** -0.5)


def body_of(model: Any) -> list[nn.Parameter]:
    """All that asks for a gradient, as one hands over what is not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def first_layer_by_lot(model: Any) -> None:
    """The first layer stays as it was drawn, on purpose."""
    next(model.children()).requires_grad_(False)


TEXTS: Change = {"data": material.reviews}
PRICES: Change = made(networks.Columns) | {"data": material.prices}
WORDS: Change = made(networks.Speaker, tied=True) | {"data": material.sentences}


def variations() -> Iterator[tuple[str, str, Change]]:
    """What is different, in which family, and how."""
    adamw = partial(torch.optim.AdamW, lr=4e-3, weight_decay=0.5)
    full = partial(torch.optim.Rprop, lr=1e-3)
    signs = partial(variants.SignOfMomentum, lr=1e-3)
    yield (
        "two arms in sixteen units",
        "mlp",
        made(Dense, width=16) | {"data": spiral, "optimizer": adam(0.02), "steps": 320},
    )
    yield "sparse rows", "mlp", TEXTS | made(variants.Sparse) | {"optimizer": sgd(2.0, 0.0), "steps": 320}
    yield "vectors that stay", "mlp", TEXTS | made(variants.Remembered) | {"trained": body_of, "optimizer": adam(8e-3)}
    yield (
        "sines of a picture",
        "mlp",
        made(variants.Sines)
        | {"data": one_picture, "loss": nn.MSELoss(), "optimizer": adam(2e-3), "batch": 128, "steps": 320},
    )
    yield "eight gated layers", "mlp", made(variants.Highway) | {"optimizer": adam()}
    yield (
        "four experts",
        "mlp",
        made(variants.Experts) | {"data": partial(material.table, classes=4), "optimizer": adam(5e-3)},
    )
    yield (
        "three quantiles",
        "mlp",
        PRICES | made(networks.Columns, outputs=3) | {"loss": losses.of_three_quantiles, "optimizer": adam(5e-3)},
    )
    yield (
        "grades",
        "mlp",
        made(networks.Columns) | {"data": grades, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam(5e-3)},
    )
    yield "minus or plus", "mlp", {"data": minus_or_plus, "loss": nn.SoftMarginLoss(), "optimizer": sgd(0.02)}
    yield "points in no order", "mlp", made(variants.Cloud) | {"data": material.clouds, "optimizer": adam(3e-3)}
    yield (
        "resilient, all at once",
        "mlp",
        PRICES | {"loss": nn.MSELoss(), "optimizer": full, "batch": 2048, "steps": 80},
    )
    yield (
        "squeezed to ten numbers",
        "mlp",
        made(networks.Squeezes)
        | {"data": material.pixels_of_one, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam(4e-3)},
    )
    yield (
        "what comes next",
        "mlp",
        made(networks.Columns)
        | {"data": material.series, "loss": nn.SmoothL1Loss(), "optimizer": adam(5e-3), "schedule": by_the_root},
    )
    yield "waves", "convnet", made(networks.Waveform) | {"data": material.waves, "optimizer": adam(5e-3)}
    yield (
        "overlap and entropy",
        "convnet",
        made(networks.Segmenter)
        | {"data": material.figures, "loss": losses.overlap_and_entropy, "optimizer": adam(5e-3)},
    )
    yield (
        "cosine below zero",
        "convnet",
        {"data": directions, "loss": losses.cosine_below_zero, "optimizer": adam(3e-3)},
    )
    yield "windows pasted", "convnet", made(networks.Branches) | {"loop": practice.pastes, "optimizer": adam(4e-3)}
    yield "first layer by lot", "convnet", {"alter": first_layer_by_lot, "trained": body_of, "optimizer": adam(3e-3)}
    yield "tells the noise", "convnet", made(variants.Denoises) | {"loop": practice.denoises, "optimizer": adam(4e-3)}
    yield (
        "categories and columns",
        "batchnorm",
        made(variants.Categories) | {"data": kinds_and_columns, "optimizer": adam(5e-3)},
    )
    yield (
        "finds its pair",
        "batchnorm",
        made(Normed, outputs=16) | {"loop": practice.finds_its_pair, "optimizer": adam(3e-3)},
    )
    yield "batches that double", "batchnorm", {"loop": practice.grows_its_batches, "batch": 16}
    yield (
        "six to one, weighed",
        "batchnorm",
        {"data": six_to_one, "loss": nn.CrossEntropyLoss(weight=torch.tensor([6.0, 1.0, 1.0]))},
    )
    yield "a mean teacher", "batchnorm", {"loop": practice.has_a_mean_teacher, "optimizer": adam(3e-3)}
    yield "branches from nothing", "residual", made(variants.Rezero) | {"optimizer": adam(3e-3)}
    yield "last norms from zero", "residual", made(variants.LastNormZero) | {"data": material.fine_stripes}
    yield "computed again on the way back", "residual", made(variants.Checkpointed)
    yield "attacked", "residual", {"loop": practice.attacked, "optimizer": sgd(0.02)}
    yield (
        "kept apart by a margin",
        "residual",
        made(ResNet, outputs=8) | {"loop": practice.keeps_apart, "optimizer": adam()},
    )
    yield (
        "looked at once",
        "residual",
        {"loop": practice.looks_once, "optimizer": sgd(0.03, nesterov=True, weight_decay=1e-3)},
    )
    yield "tied words", "transformer", WORDS | {"optimizer": adam(5e-3), "schedule": faster_then_cosine}
    yield (
        "clipped at every step",
        "transformer",
        WORDS | made(networks.Speaker) | {"clip": 0.05, "optimizer": adam(5e-3)},
    )
    yield "decay of a half", "transformer", TEXTS | made(networks.Reader) | {"optimizer": adamw}
    yield "latents that look", "transformer", made(variants.Latents) | {"optimizer": adam(3e-3)}
    yield "sign of momentum", "transformer", TEXTS | made(networks.Reader) | {"optimizer": signs}


def patients() -> list[Patient]:
    """All the healthy of the third referral."""
    return [
        Patient(f"healthy: {variation}, {family}", family, regimen_of(family, change), referral=3)
        for variation, family, change in variations()
    ]
