"""The sick that were referred for their network, their loss or their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import referred_faults as faults
from . import referred_loops as loops
from . import referred_material as material
from .families import patterns, regression, stripes, yes_or_no
from .referred_models import MODELS, Change, Dense, LeNet, ViT, each, made
from .regimen import adam, sgd
from .sick import in_half_precision

Ailment = tuple[str, tuple[str, ...], dict[str, Change]]
"""What it is, the rules that name it rightly, and in which families it comes by which change."""


def ending(family: str, last: Callable[[Tensor], Tensor]) -> Change:
    """The family's network with one more line at its end."""
    return {"make_model": lambda data: faults.Last(MODELS[family](data), last)}


def network_and_loss() -> Iterator[Ailment]:
    """What `forward` does, how the weights begin, and what is descended."""
    cut = ("no-gradient", "frozen-parameters")
    yield (
        "features without gradient",
        cut,
        {
            "convnet": {"make_model": lambda data: faults.NoGradFeatures(LeNet(data)), "data": material.faint_stripes},
            "transformer": {"make_model": lambda data: faults.NoGradFeatures(ViT(data)), "data": stripes},
        },
    )
    yield "data handed on", cut, {"residual": made(faults.DataBetweenBlocks) | {"data": material.faint_stripes}}
    yield "through numpy", cut, {"mlp": made(faults.ThroughNumpy) | {"data": material.faint_stripes}}
    yield "units by comparison", cut, {"convnet": made(faults.HardThreshold) | {"data": material.faint_stripes}}
    softmax, sigmoid = partial(F.softmax, dim=1), torch.sigmoid
    twenty: Change = {"data": partial(patterns, classes=20, noise=1.5)}
    yield (
        "functional softmax before cross entropy",
        ("double-softmax",),
        {family: ending(family, softmax) | twenty for family in ("batchnorm", "residual")},
    )
    yield (
        "sigmoid before cross entropy",
        ("double-softmax", "double-sigmoid"),
        {family: ending(family, sigmoid) | twenty for family in ("mlp", "batchnorm")},
    )
    yield (
        "probabilities into nll",
        ("loss-expects-log-probabilities",),
        {family: ending(family, softmax) | twenty | {"loss": nn.NLLLoss()} for family in ("convnet", "residual")},
    )
    yield (
        "sigmoid of every class twice",
        ("double-sigmoid",),
        {
            family: ending(family, sigmoid) | {"loss": material.one_hot_bce, "optimizer": sgd(0.05)}
            for family in ("residual", "transformer")
        },
    )
    yield (
        "softmax of one score",
        ("constant-output", "input-ignored"),
        {family: ending(family, softmax) | {"data": yes_or_no, "loss": nn.BCELoss()} for family in ("mlp", "convnet")},
    )
    yield (
        "squeezed outputs against a column",
        ("loss-shape-broadcast",),
        {
            family: {"data": regression, "optimizer": adam(), "loss": material.squeezed_against_column(loss)}
            for family, loss in {
                "convnet": F.smooth_l1_loss,
                "transformer": F.mse_loss,
                "mlp": material.squares_by_hand,
            }.items()
        },
    )
    summed = ("loss-summed-over-batch", "learning-rate-too-high")
    yield (
        "squares summed",
        summed,
        each("mlp", {"data": regression, "loss": nn.MSELoss(reduction="sum"), "optimizer": sgd(0.05)}),
    )
    yield (
        "functional loss summed",
        ("loss-summed-over-batch",),
        each("convnet transformer", {"loss": partial(F.cross_entropy, reduction="sum"), "optimizer": sgd(0.03)}),
    )
    mixing = ("batch-mixing",)
    yield (
        "encoder that takes the length first",
        mixing,
        {"transformer": made(faults.BatchNotFirst) | {"data": stripes}},
    )
    yield (
        "view after a transpose",
        mixing,
        {"convnet": made(faults.WrongView), "mlp": made(faults.WrongViewOfPictures)},
    )
    yield "features normalized over the batch", mixing, {"residual": made(faults.NormalizedOverTheBatch)}
    ignored = ("input-ignored", "constant-output")
    yield "places instead of tokens", ignored, {"transformer": made(faults.PlaceOnly)}
    yield "mask the wrong way round", ignored, {"convnet": made(faults.MaskedAway)}
    yield (
        "layer norm of one score",
        ignored,
        {
            "mlp": {
                "make_model": lambda data: faults.NormOfOne(Dense(data)),
                "data": yes_or_no,
                "loss": nn.BCEWithLogitsLoss(),
            }
        },
    )
    yield (
        "evaluated before training and left so",
        ("eval-mode-while-training",),
        each("batchnorm residual", {"loop": loops.stays_in_evaluation}),
    )
    yield (
        "eval without parentheses",
        ("train-mode-while-validating",),
        {
            "batchnorm": {
                "make_model": None,
                "architecture": {"drop": 0.7},
                "loop": loops.names_the_evaluation_mode,
            },
            "transformer": made(ViT, drop=0.5) | {"loop": loops.names_the_evaluation_mode},
        },
    )
    yield (
        "functional dropout always on",
        ("train-mode-while-validating",),
        {
            "mlp": made(faults.AlwaysDropping) | {"optimizer": adam()},
            "convnet": made(faults.AlwaysDroppingConv) | {"optimizer": adam()},
        },
    )
    yield (
        "share to keep given as share to drop",
        ("excessive-dropout",),
        {
            "mlp": made(faults.KeepsATwentieth) | {"optimizer": adam()},
            "transformer": made(ViT, drop=0.97) | {"steps": 240},
        },
    )
    yield (
        "batches of two accumulated",
        ("batch-norm-small-batch",),
        {
            "mlp": made(faults.NormedDense) | {"batch": 2, "accumulate": 4},
            "batchnorm": made(faults.NormedEnd) | {"batch": 2, "accumulate": 4},
        },
    )
    yield from beginnings()
    yield from numbers()


def beginnings() -> Iterator[Ailment]:
    """Weights as they are before the first step, and depth."""
    yield (
        "matrices of randn",
        ("exploding-activations", "initial-loss-off"),
        {"mlp": made(faults.RandnLayers, F.relu) | {"optimizer": sgd(1e-3)}},
    )
    yield (
        "matrices of randn into tanh",
        ("saturated-units",),
        {"mlp": made(faults.RandnLayers, torch.tanh) | {"data": partial(patterns, noise=2.5)}},
    )
    yield "matrices of zeros", ("symmetric-weights",), {"mlp": made(faults.ZeroLayers, F.relu)}
    yield (
        "one number everywhere",
        ("symmetric-weights",),
        each("transformer", {"alter": faults.all_a_fiftieth}),
    )
    yield (
        "one filter repeated",
        ("symmetric-weights",),
        each("convnet", {"alter": faults.one_filter_repeated, "optimizer": sgd(0.02)}),
    )
    yield "last hidden layer silent", ("dead-relu",), each("mlp convnet", {"alter": faults.last_hidden_silent})
    yield "relu on the scores of a silent head", ("dead-relu",), {"batchnorm": ending("batchnorm", silent_scores)}
    yield (
        "nine convolutions of sigmoid",
        ("vanishing-gradient",),
        {"convnet": made(faults.deep_convolutions, nn.Sigmoid)},
    )
    yield (
        "nine convolutions from 0.01",
        ("vanishing-activations", "vanishing-gradient"),
        {"convnet": made(faults.deep_convolutions, nn.ReLU) | {"alter": faults.truncated_normal}},
    )
    yield (
        "blocks without norms",
        ("exploding-activations",),
        {"residual": made(faults.WithoutNorms) | {"optimizer": sgd(0.01)}},
    )
    yield (
        "one layer again and again",
        ("exploding-activations", "exploding-gradient"),
        {"mlp": made(faults.SameLayerAgain) | {"optimizer": sgd(0.01)}},
    )
    yield (
        "no activations",
        ("underfitting", "loss-plateau", "loss-not-decreasing"),
        {"mlp": made(faults.no_activations) | {"data": stripes, "steps": 320}},
    )


def silent_scores(scores: Tensor) -> Tensor:
    """Scores shifted below zero and rectified."""
    return F.relu(scores - 6)


def numbers() -> Iterator[Ailment]:
    """Values that overflow or are none, and what is slow or lost."""
    activation, gradient = ("non-finite-activation",), ("non-finite-gradient",)
    yield "no token left to attend to", activation, {"transformer": made(faults.NoToken)}
    yield "layer norm without epsilon", activation, {"transformer": made(faults.PaddedTokens)}
    yield "divided by the spread of a silent channel", activation, {"convnet": made(faults.OneOverSpread)}
    yield (
        "softmax by hand overflows",
        ("non-finite-activation", "inputs-not-scaled"),
        {
            "mlp": made(faults.SoftmaxByHand)
            | {"inputs": lambda pictures: material.as_bytes(pictures) * 100, "loss": nn.NLLLoss()}
        },
    )
    yield "squares in half precision", activation, {"mlp": made(faults.SquaresInHalf)}
    yield "root of a bilinear descriptor", gradient, {"batchnorm": made(faults.Bilinear)}
    yield (
        "distance of a picture to itself",
        gradient,
        each("convnet residual", {"loss": material.with_distances}),
    )
    yield (
        "entropy by hand",
        ("loss-diverged", "non-finite-activation", "non-finite-gradient"),
        each("transformer", {"loss": material.entropy_by_hand}),
    )
    yield (
        "pictures from a slow disk",
        ("data-bound",),
        each("batchnorm residual", {"loop": loops.over(loops.FromDisk), "steps": 40}),
    )
    yield "pictures pixel by pixel", ("data-bound",), each("mlp", {"loop": loops.over(loops.PixelByPixel), "steps": 64})
    yield (
        "losses of validation kept with their graphs",
        ("graph-kept-alive",),
        each("batchnorm residual", {"loop": loops.keeps_graphs_of_validation, "steps": 240}),
    )
    yield (
        "scaler grows at every step",
        ("steps-skipped",),
        each(
            "mlp convnet",
            {  # every second step is lost, so that it takes twice as many
                "scaler": lambda: torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=1),
                "alter": in_half_precision,
            },
        ),
    )
