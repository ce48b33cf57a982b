"""The sick of a second referral: faults as common as in reports, each in a form that no other patient has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from . import second_faults as faults
from .families import patterns
from .patient import Patient
from .referred_faults import Last
from .referred_healthy import several_labels
from .referred_material import faint_stripes
from .referred_models import MODELS, Change, ViT, each, made, regimen_of
from .referred_networks import Ailment
from .regimen import adam, sgd
from .sick import BY_A_CHECK


def ending_in(family: str, last: nn.Module) -> Change:
    """The family's network with one more module at its end."""
    return {"make_model": lambda data: nn.Sequential(MODELS[family](data), last)}


def loops_and_rates() -> Iterator[Ailment]:
    """The order of calls, rates, schedules, and what the optimizer holds."""
    high, low, zero = ("learning-rate-too-high",), ("learning-rate-too-low",), ("learning-rate-zero",)
    yield (
        "zeroing without parentheses",
        ("gradients-accumulate",),
        each("convnet", {"loop": faults.names_the_zeroing, "optimizer": sgd(0.02, nesterov=True)}),
    )
    yield (
        "gradients of the best copy zeroed",
        ("gradients-accumulate",),
        each("mlp", {"loop": faults.zeroes_the_other, "optimizer": sgd(0.03)}),
    )
    yield "rate of nadam too high", high, each("transformer", {"optimizer": partial(torch.optim.NAdam, lr=2.0)})
    yield "cycle up to thirty", high, each("batchnorm", {"schedule": faults.cycle_of_thirty, "optimizer": sgd(1.2)})
    yield "rate times the batch", high, each("residual", {"optimizer": sgd(0.4 * 256, nesterov=True), "batch": 64})
    yield (
        "scaled and never unscaled",
        ("learning-rate-too-high", "exploding-gradient"),
        each("convnet", {"loop": faults.never_unscales, "optimizer": sgd(0.01)}),
    )
    yield (
        "rate of fine-tuning",
        low,
        each("transformer", {"optimizer": partial(torch.optim.AdamW, lr=1e-6, weight_decay=0.01)}),
    )
    yield (
        "loss over all examples",
        ("learning-rate-too-low", "initial-loss-off"),
        each("mlp", {"loss": faults.over_all_examples}),
    )
    yield "milestones in epochs", zero, each("mlp", {"schedule": faults.milestones_in_epochs, "optimizer": sgd(0.005)})
    yield "guard the wrong way round", ("optimizer-not-stepping",), each("batchnorm", {"loop": faults.skips_the_finite})
    missing = ("parameters-not-in-optimizer",)
    yield (
        "second group in place of the first",
        missing,
        each("mlp", {"trained": faults.those_without_decay, "optimizer": partial(torch.optim.AdamW, lr=3e-3)}),
    )
    yield (
        "modules thawed, parameters not",
        ("frozen-parameters",),
        each("residual transformer", {"alter": faults.thawed_by_name, "data": faint_stripes}),
    )
    yield (
        "decay of a hundred",
        ("regularization-dominates",),
        each("transformer", {"optimizer": partial(torch.optim.AdamW, lr=2e-3, weight_decay=100.0)}),
    )


def pictures_and_labels() -> Iterator[Ailment]:
    """Pictures, labels, their order and their splits."""
    unscaled = ("inputs-not-scaled", "inputs-not-centered")
    yield (
        "statistics of another scale",
        unscaled,
        each("convnet", {"inputs": faults.statistics_of_another_scale, "optimizer": sgd(0.02)}),
    )
    yield (
        "divided by 255 twice",
        unscaled,
        each("mlp", {"inputs": faults.divided_twice, "optimizer": sgd(0.01)}),
    )
    infinite = ("non-finite-inputs",)
    yield "counts beyond half precision", infinite, each("residual", {"inputs": faults.counts_in_half})
    yield (
        "background not counted",
        ("label-out-of-range",),
        {
            "transformer": made(partial(faults.OneClassTooFew, ViT)),
        },
    )
    yield "mostly background", ("class-imbalance",), each("residual", {"data": faults.mostly_background})
    yield (
        "batches of one class",
        ("unshuffled-batches",),
        each("mlp", {"loop": faults.class_by_class, "data": partial(patterns, 1600)}),
    )
    yield (
        "validated on the training set",
        ("train-val-overlap",),
        each("transformer", {"data": faults.validated_on_training, "optimizer": adam(3e-3), "steps": 320}),
    )
    yield (
        "shuffled apart",
        ("labels-unrelated-to-inputs",),
        each("convnet", {"data": faults.shuffled_apart, "optimizer": adam(4e-3), "steps": 320}),
    )
    yield (
        "large pictures unpacked",
        ("data-bound",),
        each("convnet", {"loop": faults.unpacks, "steps": 48}),
    )
    yield (
        "sixty pictures",
        ("overfitting",),
        each("residual", {"data": partial(patterns, 60, noise=3.0, seed=28), "optimizer": adam(3e-3)}),
    )


def networks_and_losses() -> Iterator[Ailment]:
    """What `forward` does, how the weights begin, and what is descended."""
    yield (
        "features through lists",
        ("no-gradient", "frozen-parameters"),
        each("batchnorm", made(faults.FeaturesAsLists) | {"data": faint_stripes}),
    )
    twenty: Change = {"data": partial(patterns, classes=20, noise=1.5)}
    yield (
        "probabilities into a focal loss",
        ("double-softmax",),
        {
            "residual": ending_in("residual", nn.Softmax(dim=1)) | twenty | {"loss": faults.focal_of_probabilities},
        },
    )
    yield (
        "sigmoid before a margin that has its own",
        ("double-sigmoid",),
        {
            family: {
                "make_model": lambda data, family=family: Last(MODELS[family](data), torch.sigmoid),
                "data": several_labels,
                "loss": nn.MultiLabelSoftMarginLoss(),
            }
            for family in ("batchnorm",)
        },
    )
    yield (
        "scores into a divergence",
        ("loss-expects-log-probabilities",),
        each("residual", {"loss": faults.divergence_of_scores}),
    )
    yield (
        "targets laid down as a row",
        ("loss-shape-broadcast",),
        {
            "batchnorm": {"data": faults.brightness, "loss": faults.row_against_column(F.l1_loss)},
        },
    )
    yield (
        "loss times the batch",
        ("loss-summed-over-batch", "learning-rate-too-high"),
        each("mlp", {"loss": faults.for_the_running_sum, "batch": 128}),
    )
    yield "prior of a rare class everywhere", ("dead-relu",), each("convnet", {"alter": faults.rare_prior})
    yield (
        "rectified answer below zero",
        ("dead-relu", "constant-output"),
        {
            "batchnorm": {
                "make_model": lambda data: faults.RectifiedAnswer(MODELS["batchnorm"](data)),
                "data": faults.below_zero,
                "loss": nn.MSELoss(),
                "optimizer": sgd(0.01),
            }
        },
    )
    yield "sigmoids from three", ("saturated-units", "initial-loss-off"), each("convnet", made(faults.sigmoids))
    yield (
        "skip forgotten",
        ("vanishing-activations", "vanishing-gradient"),
        each("residual", made(faults.SkipForgotten)),
    )
    yield (
        "one over the number of inputs",
        ("symmetric-weights",),
        each("batchnorm", {"alter": faults.one_over_fan_in}),
    )
    yield (
        "mask of what may be seen",
        ("input-ignored", "constant-output"),
        each("transformer", made(faults.PatchesMaskedAway)),
    )
    yield "tokens reshaped", ("batch-mixing",), each("transformer", made(faults.TokensReshaped))
    yield (
        "train keeps the norms",
        ("eval-mode-while-training",),
        each("residual", made(faults.NeverTrains) | {"optimizer": sgd(0.2)}),
    )
    yield (
        "drops to guess",
        ("train-mode-while-validating",),
        each("mlp", made(faults.DropsToGuess) | {"data": partial(patterns, noise=3.0), "optimizer": adam()}),
    )
    yield "nine channels of ten dropped", ("excessive-dropout",), each("batchnorm", made(faults.DropsChannels))
    yield "narrow neck", ("underfitting", "loss-plateau"), each("convnet", made(faults.NarrowNeck))
    yield (
        "scores kept with their graphs",
        ("graph-kept-alive",),
        each("transformer", {"loop": faults.keeps_scores, "steps": 200}),
    )
    yield (
        "root where above zero",
        ("non-finite-gradient",),
        each("mlp", made(faults.RootWhereAbove)),
    )
    yield "pooled powers", ("non-finite-activation",), each("batchnorm", made(faults.PooledPowers))


def patients() -> list[Patient]:
    """All the sick of the second referral."""
    found = []
    for part in (loops_and_rates, pictures_and_labels, networks_and_losses):
        for ailment, rules, families in part():
            for family, change in families.items():
                regimen = regimen_of(family, change)
                check = BY_A_CHECK.get(rules[0]) if regimen.loop is None else None
                found.append(Patient(f"{ailment}, {family}", family, regimen, rules, checked_by=check, referral=2))
    return found
