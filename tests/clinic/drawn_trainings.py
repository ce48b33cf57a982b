"""Trainings drawn from ranges in which they train well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from . import drawn_material as material
from .drawn_networks import Shape, build, log_softmax
from .families import Data
from .regimen import Regimen, same

FAMILIES = ("mlp", "convnet", "batchnorm", "residual", "transformer", "recurrent")
NORMED = ("batchnorm", "residual")
CLASSES, YES_OR_NO, NUMBER = "classes", "yes or no", "number"

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "nesterov": torch.optim.SGD,
    "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
}  # fmt: skip
PLAIN, ADAPTIVE = ("sgd", "momentum", "nesterov"), ("adam", "adamw", "rmsprop")

RATES: dict[str, dict[str, tuple[float, float]]] = {
    "mlp": {"sgd": (0.06, 0.15), "momentum": (0.015, 0.04), "adam": (1e-3, 4e-3), "rmsprop": (5e-4, 2e-3)},
    "convnet": {"sgd": (0.08, 0.15), "momentum": (0.015, 0.03), "adam": (1.5e-3, 4e-3), "rmsprop": (8e-4, 2e-3)},
    "batchnorm": {"sgd": (0.05, 0.2), "momentum": (0.02, 0.08), "adam": (1.5e-3, 5e-3), "rmsprop": (1e-3, 2.5e-3)},
    "residual": {"sgd": (0.05, 0.2), "momentum": (0.02, 0.08), "adam": (1.5e-3, 5e-3), "rmsprop": (8e-4, 2e-3)},
    "transformer": {"momentum": (0.015, 0.04), "adam": (1e-3, 4e-3), "rmsprop": (5e-4, 1.5e-3)},
    "recurrent": {"adam": (3e-3, 6e-3), "rmsprop": (2e-3, 4e-3)},
}
LIKE = {"nesterov": "momentum", "adamw": "adam"}

KINDS: dict[str, tuple[str, ...]] = {
    "mlp": ("pictures", "halves", "table", "readings", "shades"),
    "convnet": ("pictures", "striped", "halves", "shades"),
    "batchnorm": ("pictures", "striped", "halves", "shades"),
    "residual": ("pictures", "striped", "halves", "shades"),
    "transformer": ("pictures", "striped", "halves", "words"),
    "recurrent": ("series", "words"),
}
TASKS = {"halves": YES_OR_NO, "readings": NUMBER, "shades": NUMBER}

SHAPES: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {
    "mlp": ((1, 3), (32, 48, 64, 96)),
    "convnet": ((2, 3), (8, 12, 16)),
    "batchnorm": ((2, 4), (12, 16, 24)),
    "residual": ((1, 2), (12, 16, 20)),
    "transformer": ((1, 2), (24, 32, 48)),
    "recurrent": ((1, 1), (24, 32, 48)),
}


@dataclass(frozen=True)
class Plan:
    """What was drawn; `regimen` makes it a training."""

    family: str
    kind: str
    source: material.Source
    shape: Shape
    optimizer: str
    rate: float
    batch: int
    steps: int
    loss: Callable[..., Tensor]
    schedule: str = "none"
    settings: dict[str, Any] = field(default_factory=dict)
    augment: Callable[[Tensor], Tensor] = same
    accumulate: int = 1
    clip: float | None = None
    half: bool = False
    average: bool = False
    initialize: Callable[[nn.Module], nn.Module | None] | None = None

    @property
    def task(self) -> str:
        return TASKS.get(self.kind, CLASSES)

    @property
    def particulars(self) -> str:
        written = f"{self.shape.depth}x{self.shape.width} {self.shape.activation}"
        return f"{written} on {self.kind} by {self.optimizer} {self.rate:.2g} of {self.batch}"

    def regimen(self) -> Regimen:
        return Regimen(
            family=self.family,
            data=self.source,
            make_model=partial(_made, shape=self.shape),
            alter=self.initialize,
            optimizer=partial(OPTIMIZERS[self.optimizer], lr=self.rate, **self.settings),
            schedule=SCHEDULES[self.schedule](self.steps, self.rate),
            loss=self.loss,
            augment=self.augment,
            batch=self.batch,
            steps=self.steps,
            accumulate=self.accumulate,
            clip=self.clip,
            half=self.half,
            average=self.average,
        )


def _made(data: Data, shape: Shape) -> nn.Module:
    return build(data, shape)


def _warm(step: int, over: int) -> float:
    return min(1.0, (step + 1) / over)


def _warm_then_linear(step: int, over: int, steps: int) -> float:
    return min(1.0, (step + 1) / over, max(0.02, (steps - step) / (steps - over)))


def _none(steps: int, rate: float) -> None:
    return None


def _cosine(steps: int, rate: float) -> Any:
    return partial(lr_scheduler.CosineAnnealingLR, T_max=steps)


def _step(steps: int, rate: float) -> Any:
    return partial(lr_scheduler.StepLR, step_size=steps // 3, gamma=0.4)


def _one_cycle(steps: int, rate: float) -> Any:
    return partial(lr_scheduler.OneCycleLR, max_lr=rate, total_steps=steps + 1, cycle_momentum=False)


def _warm_up(steps: int, rate: float) -> Any:
    return partial(lr_scheduler.LambdaLR, lr_lambda=partial(_warm, over=steps // 8))


def _warm_and_down(steps: int, rate: float) -> Any:
    return partial(lr_scheduler.LambdaLR, lr_lambda=partial(_warm_then_linear, over=steps // 10, steps=steps))


SCHEDULES: dict[str, Callable[[int, float], Any]] = {
    "none": _none,
    "cosine": _cosine,
    "step": _step,
    "one-cycle": _one_cycle,
    "warm-up": _warm_up,
    "warm-up and down": _warm_and_down,
}


def he(model: nn.Module) -> None:
    """He's initialization, zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _calm_head(model)


def xavier(model: nn.Module) -> None:
    """Glorot's initialization, zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _calm_head(model)


def _calm_head(model: nn.Module) -> None:
    head: Any = model.get_submodule("head")
    nn.init.normal_(head.weight, std=0.02)


def between(rng: Random, low: float, high: float) -> float:
    """Evenly on a logarithmic scale, to two digits."""
    return float(f"{low * (high / low) ** rng.random():.2g}")


def _source(rng: Random, kind: str, family: str) -> material.Source:
    seed, count = rng.randrange(1, 10_000), rng.choice((3072, 4096, 6144))
    whole = family in ("mlp", "convnet")
    if kind == "pictures":
        strength = between(rng, 0.5, 1.0) if whole else between(rng, 0.7, 1.2)
        channels = rng.choice((1, 3)) if family != "mlp" else 3
        if channels == 1:
            strength *= 1.6
        return partial(material.pictures, count, rng.choice((5, 8, 10)), channels, strength, seed)
    if kind == "striped":
        return partial(material.striped, count, between(rng, 0.2, 0.5), seed)
    if kind == "halves":
        return partial(material.halves, count, between(rng, 0.25, 0.5) if whole else between(rng, 0.4, 0.8), seed)
    if kind == "table":
        return partial(material.table, count, rng.choice((12, 16, 24)), rng.choice((3, 4, 6)), 0.4, seed)
    if kind == "readings":
        return partial(material.readings, count, rng.choice((6, 8, 12)), between(rng, 0.05, 0.3), seed)
    if kind == "shades":
        return partial(material.shades, count, between(rng, 0.05, 0.3), seed)
    if kind == "series":
        return partial(material.series, count, rng.choice((3, 4, 5)), between(rng, 0.2, 0.5), seed)
    return partial(material.words, count, rng.choice((4, 6, 8)), between(rng, 0.45, 0.8), seed)


def _loss(rng: Random, task: str) -> tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]:
    """A loss, and what the network ends with to suit it."""
    if task == NUMBER:
        return rng.choice((nn.MSELoss(), nn.MSELoss(), nn.SmoothL1Loss(), nn.L1Loss())), same
    if task == YES_OR_NO:
        return rng.choice(
            ((nn.BCEWithLogitsLoss(), same), (nn.BCEWithLogitsLoss(), same), (nn.BCELoss(), torch.sigmoid))
        )
    smoothed = nn.CrossEntropyLoss(label_smoothing=rng.choice((0.05, 0.1)))
    plain = (nn.CrossEntropyLoss(), same)
    return rng.choice((plain, plain, plain, (smoothed, same), (nn.NLLLoss(), log_softmax)))


def _shape(rng: Random, family: str, last: Callable[[Tensor], Tensor], optimizer: str) -> Shape:
    (least, most), widths = SHAPES[family]
    written = rng.choice(("class", "class", "sequential")) if family in ("mlp", "convnet", "batchnorm") else "class"
    activations = ["relu", "relu", "relu", "leaky", "elu", "gelu", "silu"]
    if family == "mlp":
        activations.append("tanh")
    if family == "convnet" and optimizer in PLAIN:
        activations = ["relu", "leaky", "elu"]
    if family == "transformer":
        activations = ["relu", "gelu", "silu"]
    return Shape(
        family,
        written,
        rng.choice(activations),
        rng.randint(least, most),
        rng.choice(widths),
        rng.choice((0.0, 0.0, 0.1, 0.2, 0.3)),
        last,
        variant=_variant(rng, family),
    )


def _variant(rng: Random, family: str) -> str:
    if family == "residual":
        return rng.choice(("", "preactivated"))
    return rng.choice(("gru", "lstm")) if family == "recurrent" else ""


def _settings(rng: Random, optimizer: str) -> dict[str, Any]:
    if optimizer in PLAIN:
        settings: dict[str, Any] = {"weight_decay": rng.choice((0.0, 0.0, 1e-4, 5e-4))}
        if optimizer != "sgd":
            settings["momentum"] = rng.choice((0.8, 0.9, 0.9))
            settings["nesterov"] = optimizer == "nesterov"
        return settings
    if optimizer == "adamw":
        return {"weight_decay": rng.choice((0.01, 0.02, 0.05))}
    return {"weight_decay": rng.choice((0.0, 0.0, 1e-5, 1e-4))}


def _beginning(rng: Random, family: str, optimizer: str) -> Callable[[nn.Module], None] | None:
    if family == "convnet" and optimizer in PLAIN:
        return rng.choice((he, xavier))
    return rng.choice((None, None, None, he, xavier)) if family in ("mlp", "convnet", "batchnorm") else None


def _rate(rng: Random, family: str, optimizer: str, task: str, batch: int) -> float:
    """Plain descent of numbers, whose gradients are not bounded as those of scores are, needs a lower one.

    So does a plain convnet with momentum, where batches are small.
    """
    low, high = RATES[family][LIKE.get(optimizer, optimizer)]
    times = {"mlp": 0.5}.get(family, 0.3) if task == NUMBER and optimizer in PLAIN else 1.0
    if family == "convnet" and batch <= 16 and LIKE.get(optimizer, optimizer) == "momentum":
        times *= 0.6
    return between(rng, low * times, high * times)


def draw(rng: Random, family: str | None = None) -> Plan:
    """A healthy training."""
    family = family or rng.choice(FAMILIES[:5] * 2 + FAMILIES[5:])
    kind = rng.choice(KINDS[family])
    loss, last = _loss(rng, TASKS.get(kind, CLASSES))
    optimizer = rng.choice([name for name in OPTIMIZERS if LIKE.get(name, name) in RATES[family]])
    batch = rng.choice((16, 32, 32, 64, 64, 128))
    augment: Callable[[Tensor], Tensor] = same
    if kind != "words" and rng.random() < 0.25:
        augment = rng.choice((material.jittered, material.erased))
    steps = rng.choice((120, 160, 200, 240)) if batch > 16 else rng.choice((200, 240))
    if family in ("residual", "transformer", "recurrent"):
        steps = min(steps, 160 if batch > 64 else 200)
    if optimizer in PLAIN:
        steps = max(steps, 200)
    plan = Plan(
        family,
        kind,
        _source(rng, kind, family),
        _shape(rng, family, last, optimizer),
        optimizer,
        _rate(rng, family, optimizer, TASKS.get(kind, CLASSES), batch),
        batch,
        steps,
        loss,
        rng.choice(("none",) * 4 + tuple(SCHEDULES)),
        _settings(rng, optimizer),
        augment,
        accumulate=rng.choice((1, 1, 1, 1, 2)) if batch <= 32 else 1,
        clip=rng.choice((None, None, None, 1.0, 2.0, 5.0)),
        half=rng.random() < 0.15 and family == "mlp" and last is same,
        average=rng.random() < 0.06,
        initialize=_beginning(rng, family, optimizer),
    )
    suits_he = plan.shape.activation in ("relu", "leaky") and plan.task != NUMBER
    return plan if suits_he or plan.initialize is not he else replace(plan, initialize=xavier)
