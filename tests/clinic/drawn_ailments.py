"""What ails drawn trainings: each ailment in a drawn strength, and the rules that would name it rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from . import drawn_faults as faults
from . import drawn_loops as loops
from . import drawn_material as material
from .drawn_networks import Shape, softmax
from .drawn_trainings import ADAPTIVE, CLASSES, NORMED, NUMBER, PLAIN, YES_OR_NO, Plan, between
from .regimen import Regimen, same

Afflicted = tuple[Regimen, str]
FREE = ("mlp", "convnet")
MOVING = ("momentum", "nesterov")


@dataclass(frozen=True)
class Ailment:
    """`often` is how often it is met against others; `suits` is where it makes sense and matters.

    What ails `in_principle` is a fault by construction, whether or not this training comes to less by it.
    """

    name: str
    often: int
    rules: tuple[str, ...]
    afflict: Callable[[Plan, Random], Afflicted]
    suits: Callable[[Plan], bool]
    checked_by: str | None = None
    in_principle: bool = False


AILMENTS: list[Ailment] = []


def ailment(
    name: str,
    often: int,
    *rules: str,
    checked_by: str | None = None,
    in_principle: bool = False,
    suits: Callable[[Plan], bool] = lambda plan: True,
) -> Callable[[Callable[[Plan, Random], Afflicted]], Callable[[Plan, Random], Afflicted]]:
    """Takes the function that afflicts into the list."""

    def taken(afflict: Callable[[Plan, Random], Afflicted]) -> Callable[[Plan, Random], Afflicted]:
        AILMENTS.append(Ailment(name, often, rules, afflict, suits, checked_by, in_principle))
        return afflict

    return taken


def plainly(plan: Plan, **changes: Any) -> Regimen:
    """The training without what an own loop would leave out, and changed."""
    plain = replace(plan, schedule="none", accumulate=1, clip=None, half=False, average=False)
    return replace(plain.regimen(), **changes)


def shaped(plan: Plan, **changes: Any) -> Plan:
    """With another shape of the network."""
    return replace(plan, shape=replace(plan.shape, **changes))


def is_plain(plan: Plan) -> bool:
    return plan.optimizer in PLAIN and plan.clip is None


def is_no_ease(plan: Plan) -> bool:
    """Not so easily learned that almost anything learns it."""
    if plan.optimizer in ADAPTIVE and (plan.task == NUMBER or plan.family in NORMED):
        return False
    return plan.kind not in ("table", "halves", "words") and not plan.half


def has_modes(plan: Plan) -> bool:
    return plan.family in NORMED or plan.shape.drop >= 0.2


# rates


@ailment("a rate far too high", 4, "learning-rate-too-high", suits=lambda plan: plan.clip is None and is_no_ease(plan))
def _(plan: Plan, rng: Random) -> Afflicted:
    low, high = (60, 400) if plan.family not in NORMED and plan.optimizer in PLAIN else (200, 1500)
    times = between(rng, low, high)
    return replace(plan, rate=plan.rate * times).regimen(), f"{times:g} times"


@ailment(
    "Adam with a rate for SGD", 2, "learning-rate-too-high",
    suits=lambda plan: plan.optimizer in ADAPTIVE and is_no_ease(plan),
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    rate = between(rng, 0.2, 1.0)
    return replace(plan, rate=rate, schedule="none", optimizer=rng.choice(ADAPTIVE[:2])).regimen(), f"{rate:g}"


@ailment("a rate far too low", 4, "learning-rate-too-low")
def _(plan: Plan, rng: Random) -> Afflicted:
    times = between(rng, 1e-4, 1e-3)
    return replace(plan, rate=plan.rate * times).regimen(), f"{times:g} times"


@ailment("SGD with a rate for Adam", 2, "learning-rate-too-low", suits=lambda plan: plan.optimizer in ADAPTIVE)
def _(plan: Plan, rng: Random) -> Afflicted:
    rate = between(rng, 1e-5, 1e-4)
    return replace(plan, rate=rate, optimizer="sgd", settings={}).regimen(), f"{rate:g}"


@ailment("decayed at each step in place of each epoch", 2, "learning-rate-zero", "learning-rate-too-low")
def _(plan: Plan, rng: Random) -> Afflicted:
    gamma = round(rng.uniform(0.5, 0.75), 2)
    return plainly(plan, schedule=partial(lr_scheduler.ExponentialLR, gamma=gamma)), f"{gamma:g}"


def _rise(step: int, over: int) -> float:
    return min(1.0, (step + 1) / over)


@ailment("a warm-up longer than the training", 1, "learning-rate-too-low", suits=lambda plan: plan.optimizer in PLAIN)
def _(plan: Plan, rng: Random) -> Afflicted:
    over = rng.choice((200_000, 400_000, 1_000_000))
    rise = partial(_rise, over=over)
    return plainly(plan, schedule=partial(lr_scheduler.LambdaLR, lr_lambda=rise)), f"{over} steps"


@ailment("a rate of zero for all but the head", 1, "learning-rate-zero", "frozen-parameters", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, trained=faults.without_a_rate), "group"


@ailment(
    "momentum close to one", 2, "learning-rate-too-high", "loss-oscillating",
    suits=lambda plan: plan.optimizer in MOVING and is_plain(plan) and plan.family not in NORMED,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    momentum = rng.choice((0.995, 0.998, 0.999))
    settings = {**plan.settings, "momentum": momentum}
    return replace(plan, settings=settings, schedule="none").regimen(), f"{momentum:g}"


@ailment("an enormous epsilon", 1, "learning-rate-too-low", suits=lambda plan: plan.optimizer in ("adam", "adamw"))
def _(plan: Plan, rng: Random) -> Afflicted:
    eps = rng.choice((30.0, 100.0, 300.0))
    return replace(plan, settings={**plan.settings, "eps": eps}).regimen(), f"{eps:g}"


@ailment(
    "weight decay far too strong",
    3,
    "regularization-dominates",
    suits=lambda plan: plan.optimizer != "rmsprop" and plan.family not in NORMED,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    if plan.optimizer == "adam":
        decay = between(rng, 30, 100)
    else:
        per_step = between(rng, 0.2, 0.5)
        decay = per_step / plan.rate * (0.1 if plan.optimizer in MOVING else 1)
    settings = {**plan.settings, "weight_decay": float(f"{decay:.2g}")}
    return replace(plan, settings=settings, schedule="none", clip=None).regimen(), f"{decay:.2g}"


@ailment("an own penalty far too strong", 2, "regularization-dominates", suits=lambda plan: plan.family not in NORMED)
def _(plan: Plan, rng: Random) -> Afflicted:
    power = rng.choice((1, 2))
    strength = between(rng, 0.08, 0.3) if power == 1 else between(rng, 0.3, 1)
    return plainly(plan, loop=loops.penalized(strength, power)), f"{strength:g} power {power}"


@ailment("clipped to almost nothing", 1, "clipping-always-active", "learning-rate-too-low", suits=is_plain)
def _(plan: Plan, rng: Random) -> Afflicted:
    clip = between(rng, 1e-5, 1e-3)
    return replace(plan, clip=clip).regimen(), f"{clip:g}"


@ailment("clipped before the scale is taken off", 1, "clipping-always-active", "learning-rate-too-low", suits=is_plain)
def _(plan: Plan, rng: Random) -> Afflicted:
    scaler = partial(torch.amp.GradScaler, "cpu", init_scale=2.0 ** rng.choice((14, 16)))
    return plainly(plan, clip=rng.choice((0.5, 1.0)), scaler=scaler), "scaler"


@ailment("a mean divided once more", 2, "learning-rate-too-low", "initial-loss-off", suits=is_plain)
def _(plan: Plan, rng: Random) -> Afflicted:
    by = rng.choice((1000.0, 4096.0, 60_000.0))
    return replace(plan.regimen(), loss=partial(faults.divided, loss=plan.loss, by=by)), f"by {by:g}"


@ailment("climbing in place of descending", 1, "loss-diverged")
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan, settings={**plan.settings, "maximize": True}).regimen(), "maximize"


# losses and last activations


@ailment(
    "a summed loss", 3, "loss-summed-over-batch",
    suits=lambda plan: is_plain(plan) and plan.task != NUMBER and plan.batch >= 32 and plan.family not in NORMED,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    loss: Any = nn.CrossEntropyLoss if plan.task == CLASSES else nn.BCEWithLogitsLoss
    return replace(shaped(plan, last=same), loss=loss(reduction="sum")).regimen(), "sum"


@ailment(
    "softmax before cross entropy", 4, "double-softmax", in_principle=True, suits=lambda plan: plan.task == CLASSES
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=softmax), loss=nn.CrossEntropyLoss(), half=False).regimen(), "softmax"


@ailment(
    "sigmoid before a loss of logits", 3, "double-sigmoid", in_principle=True, suits=lambda plan: plan.task == YES_OR_NO
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=torch.sigmoid), loss=nn.BCEWithLogitsLoss()).regimen(), "sigmoid"


@ailment(
    "NLLLoss of scores", 3, "loss-expects-log-probabilities", in_principle=True, suits=lambda plan: plan.task == CLASSES
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=same), loss=nn.NLLLoss()).regimen(), "scores"


@ailment(
    "NLLLoss of probabilities",
    2,
    "loss-expects-log-probabilities",
    in_principle=True,
    suits=lambda plan: plan.task == CLASSES,
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=softmax), loss=nn.NLLLoss()).regimen(), "probabilities"


@ailment("softmax along the batch", 2, "batch-mixing", in_principle=True, suits=lambda plan: plan.task == CLASSES)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=faults.log_softmax_of_batch), loss=nn.NLLLoss()).regimen(), "dim 0"


@ailment("softmax of one output", 2, "constant-output", suits=lambda plan: plan.task == YES_OR_NO)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=softmax), loss=nn.BCELoss(), half=False).regimen(), "one"


@ailment(
    "cross entropy of one output", 1, "initial-loss-off", "loss-not-decreasing",
    suits=lambda plan: plan.task == YES_OR_NO,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(shaped(plan, last=same), loss=nn.CrossEntropyLoss()).regimen(), "one"


@ailment(
    "numbers in another shape than their labels", 4, "loss-shape-broadcast", suits=lambda plan: plan.task == NUMBER
)
def _(plan: Plan, rng: Random) -> Afflicted:
    loss = rng.choice((nn.MSELoss(), nn.L1Loss()))
    return replace(replace(plan, loss=loss).regimen(), labels=material.in_a_row), "row"


@ailment("labels counted from one", 1, "label-out-of-range", in_principle=True, suits=lambda plan: plan.task == CLASSES)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan.regimen(), labels=material.counted_from_one), "1 to C"


@ailment(
    "labels of minus one and one for a binary loss", 2, "label-out-of-range", in_principle=True,
    suits=lambda plan: plan.task == YES_OR_NO and plan.shape.last is same,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan.regimen(), labels=partial(material.enlarged, scale=2.0, offset=-1.0)), "signs"


@ailment(
    "numbers to be told in the hundreds", 1, "learning-rate-too-high", "exploding-gradient",
    suits=lambda plan: is_plain(plan) and plan.task == NUMBER and plan.family not in NORMED,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    scale = rng.choice((200.0, 500.0, 2000.0))
    loss = replace(plan, loss=nn.MSELoss())
    return replace(loss.regimen(), labels=partial(material.enlarged, scale=scale)), f"{scale:g}"


@ailment(
    "a last activation that cannot reach the labels", 2, "saturated-units", "underfitting", "loss-plateau",
    suits=lambda plan: plan.task == NUMBER,
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    scale = rng.choice((5.0, 20.0))
    last, named = rng.choice(((torch.sigmoid, "sigmoid"), (torch.tanh, "tanh")))
    afflicted = replace(shaped(plan, last=last), half=False).regimen()
    return replace(afflicted, labels=partial(material.enlarged, scale=scale)), f"{named} for {scale:g}"


@ailment("the loss wrapped anew", 2, "no-gradient", "frozen-parameters")
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, loss=partial(faults.wrapped_anew, loss=plan.loss)), "tensor"


# the size of a network


def _few_units(plan: Plan, rng: Random, activation: str, width: int, depth: int) -> Plan:
    shape = Shape("mlp", plan.shape.written, activation, depth, width, last=plan.shape.last)
    return replace(plan, shape=shape, initialize=None)


@ailment(
    "no activation between its layers", 2, "underfitting", "loss-plateau", "loss-not-decreasing",
    suits=lambda plan: plan.family == "mlp" and plan.kind == "pictures",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    source = partial(material.striped, 6144, between(rng, 0.3, 0.5), rng.randrange(1, 10_000))
    linear = replace(_few_units(plan, rng, "none", 32, rng.choice((1, 2, 3))), kind="striped", source=source)
    return linear.regimen(), "stripes"


@ailment(
    "one unit for many classes", 1, "underfitting", "loss-plateau",
    suits=lambda plan: plan.family == "mlp" and plan.kind == "pictures",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    activation = rng.choice(("elu", "tanh"))
    return _few_units(plan, rng, activation, 1, 1).regimen(), activation
