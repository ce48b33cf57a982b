"""What ails the data of drawn trainings, and how their networks begin and are built."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import torch
from torch import nn

from . import drawn_faults as faults
from . import drawn_material as material
from .drawn_ailments import FREE, Afflicted, ailment, is_plain, shaped
from .drawn_trainings import CLASSES, NORMED, NUMBER, PLAIN, YES_OR_NO, Plan, between
from .families import Data
from .regimen import same

PICTURED = ("pictures", "striped", "halves", "shades")


def _fed(plan: Plan, inputs: Any) -> Any:
    """Fed otherwise, in both splits."""
    return replace(replace(plan, half=False).regimen(), inputs=inputs)


def takes_nan(plan: Plan) -> bool:
    """Its inputs are no words, and its loss does not refuse what is not a number."""
    return plan.kind != "words" and plan.shape.last is not torch.sigmoid


# data


@ailment(
    "raw pixels", 3, "inputs-not-scaled", "inputs-not-centered",
    suits=lambda plan: plan.family in FREE and plan.kind in PICTURED and is_plain(plan),
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return _fed(plan, material.as_bytes), "0 to 255"


@ailment(
    "inputs far from zero", 2, "inputs-not-centered",
    suits=lambda plan: plan.family in FREE and is_plain(plan),
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    offset = between(rng, 6, 20)
    return _fed(plan, partial(material.raised, scale=1.0, offset=offset)), f"{offset:g}"


@ailment("scaled twice", 2, "inputs-not-scaled", suits=lambda plan: plan.family in FREE and plan.optimizer in PLAIN)
def _(plan: Plan, rng: Random) -> Afflicted:
    scale = rng.choice((1 / 255, 1 / 1000))
    return _fed(plan, partial(material.raised, scale=scale, offset=0.0)), f"{scale:.1g}"


@ailment(
    "one loud column", 2, "inputs-not-scaled",
    suits=lambda plan: (
        plan.family in FREE and is_plain(plan) and plan.kind != "striped" and plan.shape.activation != "tanh"
    ),
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    scale = between(rng, 100, 1000)
    return _fed(plan, partial(material.one_loud, scale=scale)), f"{scale:g}"


@ailment("numbers that are none among the inputs", 3, "non-finite-inputs", suits=takes_nan)
def _(plan: Plan, rng: Random) -> Afflicted:
    share, hole = between(rng, 0.002, 0.02), rng.choice((float("nan"), float("inf")))
    return _fed(plan, partial(material.holed, share=share, hole=hole)), f"{hole:g} in {share:.2g}"


@ailment("a column divided by its deviation of zero", 1, "non-finite-inputs", suits=takes_nan)
def _(plan: Plan, rng: Random) -> Afflicted:
    return _fed(plan, material.standardized_by_nothing), "0/0"


@ailment("empty inputs", 2, "input-ignored", "inputs-not-scaled", suits=lambda plan: plan.kind != "words")
def _(plan: Plan, rng: Random) -> Afflicted:
    return _fed(plan, material.emptied), "zeros"


@ailment(
    "labels in another order than their inputs", 3, "labels-unrelated-to-inputs",
    suits=lambda plan: plan.family != "recurrent" and plan.kind == "pictures" and plan.steps >= 200,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    of_inputs, count = rng.random() < 0.5, rng.choice((160, 224, 288))
    source = partial(material.at_random, plan.source, count, of_inputs)
    quiet = replace(shaped(plan, drop=0.0), source=source, augment=same, average=False, batch=32, schedule="none")
    return quiet.regimen(), f"{count} {'inputs' if of_inputs else 'labels'}"


@ailment(
    "inputs shuffled in their batch", 2, "labels-unrelated-to-inputs", "loss-not-decreasing",
    suits=lambda plan: plan.kind != "words",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan, augment=material.mispaired).regimen(), "randperm"


@ailment("validated on what it trains on", 3, "train-val-overlap", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    share = round(rng.uniform(0.2, 1.0), 2)
    return replace(plan, source=partial(material.leaking, plan.source, share)).regimen(), f"{share:g}"


@ailment("one class far more often", 3, "class-imbalance", in_principle=True, suits=lambda plan: plan.task != NUMBER)
def _(plan: Plan, rng: Random) -> Afflicted:
    ratio = between(rng, 30, 150)
    return replace(plan, source=partial(material.lopsided, plan.source, ratio, 0)).regimen(), f"{ratio:g} to 1"


@ailment("class after class", 3, "unshuffled-batches", in_principle=True, suits=lambda plan: plan.task != NUMBER)
def _(plan: Plan, rng: Random) -> Afflicted:
    sorted_ = replace(plan, source=partial(material.in_order, plan.source)).regimen()
    return replace(sorted_, shuffle=False), "sorted"


def _dim(source: material.Source, strength: float) -> Data:
    """Pictures in which little of the class is seen."""
    given: Any = source
    count, classes, channels, _, seed = given.args
    return material.pictures(count, classes, channels, strength * (1.6 if channels == 1 else 1.0), seed)


def _dimmed(plan: Plan) -> material.Source:
    return partial(_dim, plan.source, 0.3 if plan.family in NORMED else 0.2)


def _learned_by_heart(plan: Plan, source: material.Source) -> Any:
    quiet = replace(
        shaped(plan, drop=0.0), source=source, augment=same, average=False, schedule="none", batch=32, steps=240,
        loss=nn.CrossEntropyLoss(), accumulate=1,
    )  # fmt: skip
    return replace(shaped(quiet, last=same), settings={**plan.settings, "weight_decay": 0.0}).regimen()


@ailment(
    "a handful of examples", 3, "overfitting",
    suits=lambda plan: plan.family in ("mlp", "convnet", "batchnorm", "residual") and plan.kind == "pictures",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    count = rng.choice((64, 96, 128))
    return _learned_by_heart(plan, partial(material.few, _dimmed(plan), count)), f"{count}"


@ailment(
    "the same few examples over and over", 2, "overfitting",
    suits=lambda plan: plan.family in ("mlp", "convnet", "batchnorm", "residual") and plan.kind == "pictures",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    count = rng.choice((48, 64, 96))
    source = partial(material.few_over_and_over, _dimmed(plan), count)
    return _learned_by_heart(plan, source), f"{count}"


@ailment(
    "waiting for its batches",
    1,
    "data-bound",
    in_principle=True,
    suits=lambda plan: plan.family in FREE and plan.accumulate == 1,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    pause = rng.choice((0.02, 0.03))
    return replace(replace(plan, steps=120).regimen(), pause_s=pause), f"{pause:g} s"


# beginnings


@ailment(
    "all weights the same",
    2,
    "symmetric-weights",
    suits=lambda plan: plan.family in FREE and plan.task == CLASSES,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    value = rng.choice((0.0, 0.0, 0.01, 0.05))
    return replace(shaped(plan, drop=0.0), initialize=partial(faults.constant, value=value)).regimen(), f"{value:g}"


@ailment(
    "one hidden layer all the same",
    1,
    "symmetric-weights",
    in_principle=True,
    suits=lambda plan: plan.family in FREE and plan.task == CLASSES,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    value = rng.choice((0.0, 0.02, 0.1))
    return replace(shaped(plan, drop=0.0), initialize=partial(faults.one_constant, value=value)).regimen(), f"{value:g}"


@ailment(
    "weights far too small", 2, "vanishing-activations", "vanishing-gradient", suits=lambda plan: plan.family in FREE
)
def _(plan: Plan, rng: Random) -> Afflicted:
    std, depth = between(rng, 1e-3, 0.01), rng.randint(5, 8) if plan.family == "mlp" else 3
    begun = replace(shaped(plan, depth=depth), initialize=partial(faults.gaussian, std=std), half=False)
    return begun.regimen(), f"{std:g} in {depth}"


@ailment("weights far too large", 2, "exploding-activations", suits=lambda plan: plan.family in FREE)
def _(plan: Plan, rng: Random) -> Afflicted:
    std, depth = between(rng, 0.7, 1.5), rng.randint(4, 6) if plan.family == "mlp" else 3
    activation = rng.choice(("relu", "leaky", "gelu"))
    wide = shaped(plan, depth=depth, activation=activation, width=48 if plan.family == "mlp" else 16)
    return replace(wide, initialize=partial(faults.gaussian, std=std), half=False).regimen(), f"{std:g} in {depth}"


@ailment("weights far too large before tanh", 2, "saturated-units", suits=lambda plan: plan.family in FREE)
def _(plan: Plan, rng: Random) -> Afflicted:
    std, depth = between(rng, 1.5, 4), 3
    tight = shaped(plan, depth=depth, activation="tanh", width=64 if plan.family == "mlp" else 16)
    return replace(tight, initialize=partial(faults.gaussian, std=std), half=False).regimen(), f"{std:g}"


@ailment("a loud head", 2, "initial-loss-off", in_principle=True, suits=lambda plan: plan.task == CLASSES)
def _(plan: Plan, rng: Random) -> Afflicted:
    std = between(rng, 5, 20)
    return replace(plan, initialize=partial(faults.loud_head, std=std), half=False).regimen(), f"{std:g}"


@ailment("a head that starts far off", 1, "initial-loss-off", in_principle=True, suits=lambda plan: plan.task != NUMBER)
def _(plan: Plan, rng: Random) -> Afflicted:
    value = between(rng, 15, 40)
    return replace(plan, initialize=partial(faults.biased_head, value=value), half=False).regimen(), f"{value:g}"


@ailment("biases far below zero", 3, "dead-relu", suits=lambda plan: plan.family in FREE)
def _(plan: Plan, rng: Random) -> Afflicted:
    value = -between(rng, 4, 15)
    return replace(
        shaped(plan, activation="relu"), initialize=partial(faults.sunken, value=value)
    ).regimen(), f"{value:g}"


@ailment(
    "sigmoids one upon another", 4, "vanishing-gradient", "vanishing-activations",
    suits=lambda plan: plan.family == "mlp",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    depth = rng.randint(5, 9)
    return replace(shaped(plan, activation="sigmoid", depth=depth), initialize=None).regimen(), f"{depth}"


@ailment(
    "far too many layers", 2, "vanishing-gradient", "vanishing-activations", suits=lambda plan: plan.family == "mlp"
)
def _(plan: Plan, rng: Random) -> Afflicted:
    depth, activation = rng.randint(16, 26), rng.choice(("relu", "gelu", "leaky"))
    deep = replace(shaped(plan, activation=activation, depth=depth), initialize=None, half=False)
    return deep.regimen(), f"{depth}"


# networks


def _between(plan: Plan, what: Any) -> Any:
    return replace(shaped(plan, between=what), half=False).regimen()


@ailment("features cut off from the head", 3, "no-gradient", "frozen-parameters", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    what, named = rng.choice(((faults.detached, "detach"), (faults.by_numpy, "numpy")))
    return _between(plan, what), named


@ailment(
    "a step function before the head", 1, "frozen-parameters", "no-gradient", "vanishing-gradient", in_principle=True
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return _between(plan, faults.rounded), "round"


@ailment("examples mixed by a reshape", 3, "batch-mixing")
def _(plan: Plan, rng: Random) -> Afflicted:
    return _between(plan, faults.reshaped), "reshape"


@ailment(
    "attention along the batch", 2, "batch-mixing", in_principle=True, suits=lambda plan: plan.family == "transformer"
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return shaped(plan, variant="over the batch").regimen(), "batch_first"


@ailment("the input lost on its way", 2, "input-ignored")
def _(plan: Plan, rng: Random) -> Afflicted:
    what, named = rng.choice(((faults.zeroed, "zeros"), (faults.drawn_anew, "noise")))
    return _between(plan, what), named


@ailment(
    "a logarithm of zero",
    2,
    "non-finite-activation",
    suits=lambda plan: plan.shape.activation in ("relu", "leaky") and plan.task != YES_OR_NO,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return _between(plan, faults.logarithms), "log"


@ailment("a root of zero in the loss", 2, "non-finite-gradient", suits=lambda plan: plan.task == CLASSES)
def _(plan: Plan, rng: Random) -> Afflicted:
    share = rng.choice((0.001, 0.01))
    loss = partial(faults.with_distances, loss=plan.loss, share=share)
    return replace(replace(plan, half=False).regimen(), loss=loss), f"{share:g}"


@ailment(
    "an own softmax that overflows", 1, "non-finite-activation",
    suits=lambda plan: plan.family in ("batchnorm", "residual", "transformer") and plan.task != YES_OR_NO,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return _between(plan, faults.own_softmax), "exp"


@ailment("a wrong own backward", 2, "wrong-gradient", in_principle=True, checked_by="gradient-check")
def _(plan: Plan, rng: Random) -> Afflicted:
    return _between(plan, faults.wrongly_derived), "sign"


@ailment(
    "almost all dropped",
    2,
    "excessive-dropout",
    suits=lambda plan: plan.kind in ("pictures", "series", "words") and plan.family in ("batchnorm", "recurrent"),
)
def _(plan: Plan, rng: Random) -> Afflicted:
    drop = round(rng.uniform(0.96, 0.985), 3)
    return shaped(plan, drop=drop).regimen(), f"{drop:g}"
