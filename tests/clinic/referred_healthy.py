"""The healthy as they are found in tutorials and papers: other losses, networks, optimizers, schedules and loops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from . import referred_loops as loops
from . import referred_variants as variants
from .families import SIDE, Data, mlp, patterns, regression
from .patient import Patient
from .referred_material import as_bytes
from .referred_models import Change, Dense, ViT, each, made, regimen_of
from .regimen import adam, sgd


def words(count: int = 3072) -> Data:
    """Twelve words of forty, some of which are commoner in one of four kinds of text; the end is padding."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.randint(0, 4, (count + 256,), generator=generator)
    common = 1 + torch.randint(0, 39, (count + 256, 12), generator=generator)
    own = 1 + labels[:, None] * 9 + torch.randint(0, 9, (count + 256, 12), generator=generator)
    text = torch.where(torch.rand(count + 256, 12, generator=generator) < 0.45, own, common)
    length = torch.randint(5, 13, (count + 256, 1), generator=generator)
    text = text * (torch.arange(12) < length)
    return Data(text[:count], labels[:count], text[count:], labels[count:], 4)


def several_labels(count: int = 2048) -> Data:
    """Six things may each be in a picture or not."""
    generator = torch.Generator().manual_seed(8)
    things = torch.randn(6, 3, SIDE, SIDE, generator=generator)
    there = (torch.rand(count + 256, 6, generator=generator) < 0.3).float()
    noise = torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    inputs = torch.einsum("nk,kchw->nchw", there - 0.3, things) + noise
    return Data(inputs[:count] / 1.5, there[:count], inputs[count:] / 1.5, there[count:], 6)


def itself(noise: float = 0.3) -> Data:
    """The picture is its own label."""
    data = patterns(noise=noise)
    return replace(data, labels=data.inputs, val_labels=data.val_inputs)


def soft() -> Data:
    """A teacher's shares instead of labels."""
    data = patterns()

    def shares(labels: Tensor) -> Tensor:
        return 0.85 * F.one_hot(labels, 10).float() + 0.15 / 10

    return replace(data, labels=shares(data.labels), val_labels=shares(data.val_labels))


def a_tenth_wrong() -> Data:
    """One training label in ten is drawn by lot."""
    data = patterns(4096)
    generator = torch.Generator().manual_seed(9)
    wrong = torch.rand(4096, generator=generator) < 0.1
    return replace(data, labels=torch.where(wrong, torch.randint(0, 10, (4096,), generator=generator), data.labels))


def two_to_one() -> Data:
    """Of five classes, two have half the examples of the others."""
    data = patterns(2560, classes=5)
    keep = (data.labels > 1) | (torch.arange(2560) % 2 == 0)
    return replace(data, inputs=data.inputs[keep], labels=data.labels[keep])


def cut_out(pictures: Tensor) -> Tensor:
    """A square of three pixels is blanked."""
    pictures = pictures.clone()
    row, column = torch.randint(0, SIDE - 2, (2,)).tolist()
    pictures[..., row : row + 3, column : column + 3] = 0
    return pictures


def focal(outputs: Tensor, labels: Tensor) -> Tensor:
    """What is already right counts little."""
    each_loss = F.cross_entropy(outputs, labels, reduction="none")
    return ((1 - torch.exp(-each_loss)) ** 2 * each_loss).mean()


def likelihood(outputs: Tensor, labels: Tensor) -> Tensor:
    """A mean and the logarithm of a variance; goes below zero as it becomes sure."""
    mean, spread = outputs.chunk(2, dim=1)
    return F.gaussian_nll_loss(mean, labels, F.softplus(spread) + 1e-3)


def log_probabilities(outputs: Tensor, labels: Tensor) -> Tensor:
    """Log probabilities, then their negative mean."""
    return F.nll_loss(F.log_softmax(outputs, dim=1), labels)


def log_softmax_twice(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of log probabilities is that of the scores: done twice, it changes nothing."""
    return F.cross_entropy(F.log_softmax(outputs, dim=1), labels)


def restarts(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=40, T_mult=2, eta_min=1e-4)


def up_then_down(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    """Linear for thirty steps, then a cosine."""
    return lr_scheduler.LambdaLR(
        optimizer, lambda step: (step + 1) / 30 if step < 30 else 0.5 + 0.5 * math.cos(math.pi * (step - 30) / 130)
    )


def triangles(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CyclicLR(optimizer, 0.002, 0.04, step_size_up=20)


def networks() -> Iterator[tuple[str, dict[str, Change]]]:
    """Other networks."""
    yield "group norm", {"batchnorm": made(variants.grouped)}
    yield "batches of one with group norm", {"batchnorm": made(variants.grouped) | {"batch": 1, "optimizer": sgd(2e-3), "steps": 480}}  # fmt: skip  # noqa: E501
    yield "separable convolutions with hardswish", {"batchnorm": made(variants.separable)}
    yield "dilated convolutions with elu", {"convnet": made(variants.dilated) | {"optimizer": sgd(0.03)}}
    yield "squeeze and excitation", {"residual": made(variants.Squeezed)}
    yield "activation first and stochastic depth", {"residual": made(variants.PreActivation)}
    yield "attention written out", {"transformer": made(ViT)}
    yield "attention with dropout", {"transformer": made(ViT, drop=0.1) | {"steps": 240}}
    yield (
        "prelu",
        {
            "convnet": {"make_model": None, "alter": variants.with_prelu},
            "mlp": {"make_model": None, "alter": variants.with_prelu},
        },
    )
    yield "rows read by a gru", {"mlp": made(variants.ReadsRows) | {"optimizer": adam(5e-3)}}
    yield "words", {"transformer": made(variants.Words) | {"data": words, "optimizer": adam(3e-3), "steps": 144}}
    yield "bag of words", {"mlp": made(variants.BagOfWords) | {"data": words, "optimizer": adam(5e-3), "steps": 240}}
    yield "cosines as scores", {"convnet": made(variants.Cosine) | {"optimizer": adam(3e-3)}}
    yield "two heads in training", {"batchnorm": made(variants.TwoHeads) | {"loss": variants.of_both_heads}}
    yield "bytes through a norm at the door", {"batchnorm": made(variants.norm_at_the_door) | {"inputs": as_bytes}}
    yield "one matrix", {"mlp": made(variants.logistic) | {"data": partial(patterns, seed=11)}}
    yield "layer norm and tanh", {"mlp": made(variants.layer_normed)}
    yield "one hidden layer of sigmoid", {"mlp": made(partial(mlp, activation=nn.Sigmoid, depth=1)) | {"optimizer": adam(5e-3)}}  # fmt: skip  # noqa: E501
    yield "weight norm", {"convnet": {"alter": variants.weight_normed}}
    yield (
        "orthogonal matrices in eight layers of tanh",
        {
            "mlp": made(partial(mlp, activation=nn.Tanh, depth=8))
            | {"alter": variants.orthogonal, "optimizer": sgd(0.01)}
        },
    )
    yield "a head of zeros", each("convnet residual", {"alter": variants.he_and_zero_head, "optimizer": sgd(0.02)})


def settings() -> Iterator[tuple[str, dict[str, Change]]]:
    """Other losses, optimizers, schedules, data and loops."""
    yield "huber", {"mlp": {"data": regression, "loss": nn.HuberLoss(), "optimizer": sgd(0.03)}}
    yield "absolute error", {"mlp": {"data": regression, "loss": nn.L1Loss(), "optimizer": adam(2e-3)}}
    yield (
        "likelihood below zero",
        {
            "mlp": made(Dense, outputs=2)
            | {"data": partial(regression, 4096), "loss": likelihood, "optimizer": adam(2e-3), "steps": 120}
        },
    )
    yield (
        "several labels",
        each("mlp residual", {"data": several_labels, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam(2e-3)}),
    )
    yield "focal loss", {"convnet": {"loss": focal, "optimizer": adam(3e-3)}}
    yield "margins", {"mlp": {"loss": nn.MultiMarginLoss()}}
    yield "log probabilities into nll", each("convnet mlp", {"loss": log_probabilities})
    yield "log softmax twice", {"batchnorm": {"loss": log_softmax_twice}}
    yield "soft labels", {"residual": {"data": soft}}
    yield (
        "autoencoder",
        {
            "mlp": made(variants.autoencoder) | {"data": itself, "loss": nn.MSELoss(), "optimizer": adam(3e-3)},
            "convnet": made(variants.convolutional_autoencoder)
            | {"data": itself, "loss": nn.MSELoss(), "optimizer": adam(3e-3)},
        },
    )
    yield "adadelta", {"convnet": {"optimizer": partial(torch.optim.Adadelta, lr=1.0)}}
    yield "nadam", {"mlp": {"optimizer": partial(torch.optim.NAdam, lr=2e-3)}}
    yield "radam", {"transformer": {"optimizer": partial(torch.optim.RAdam, lr=4e-3), "steps": 240}}
    yield "adamax", {"residual": {"optimizer": partial(torch.optim.Adamax, lr=5e-3)}}
    yield (
        "decay of kernels only",
        each("batchnorm transformer", {"trained": variants.decay_kernels_only, "optimizer": adam()}),
    )
    yield "faster head", {"convnet": {"trained": variants.faster_head, "optimizer": adam()}}
    yield "high rate with batch norm", each("batchnorm residual", {"optimizer": sgd(0.5, 0.0)})
    yield "cosine restarts", {"residual": {"schedule": restarts, "steps": 280}}
    yield "warm-up and cosine", {"transformer": {"schedule": up_then_down, "optimizer": adam(3e-3)}}
    yield "rate in triangles", {"convnet": {"schedule": triangles, "optimizer": sgd()}}
    yield "cut-out", each("convnet batchnorm", {"augment": cut_out})
    yield "mix-up", {"residual": {"loop": loops.mixes_up}}
    yield "a tenth of the labels wrong", {"convnet": {"data": a_tenth_wrong}, "mlp": {"data": a_tenth_wrong, "optimizer": sgd(0.01), "steps": 128}}  # fmt: skip  # noqa: E501
    yield "two to one", each("mlp transformer", {"data": two_to_one})
    yield (
        "class weights",
        {"mlp": {"data": two_to_one, "loss": nn.CrossEntropyLoss(weight=torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0]))}},
    )
    yield (
        "few examples, stopped early",
        each("mlp batchnorm", {"data": partial(patterns, 320, noise=1.5), "steps": 48, "optimizer": sgd(0.03)}),
    )
    yield "accumulation in halves of halves", each("convnet transformer", {"loop": loops.accumulates})
    yield "values of gradients clipped", each("mlp transformer", {"loop": loops.clips_each_value})
    yield (
        "frozen, then thawed",
        {
            "batchnorm": {"loop": loops.unfreezes, "trained": variants.head_of, "optimizer": adam(3e-3), "steps": 200},
            "convnet": {"loop": loops.unfreezes, "trained": variants.head_of, "optimizer": adam(3e-3), "steps": 200},
        },
    )
    yield "sharpness-aware", each("mlp residual", {"loop": loops.sharpness_aware})


def patients() -> list[Patient]:
    """All the healthy that were referred."""
    return [
        Patient(f"healthy: {variation}, {family}", family, regimen_of(family, change), referral=1)
        for part in (networks, settings)
        for variation, families in part()
        for family, change in families.items()
    ]
