"""The sick: each one change of a healthy training, in as many families as can have it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from .families import Data, mlp, patterns, regression, yes_or_no
from .patient import Patient
from .regimen import Regimen, adam, sgd

ALL = ("mlp", "convnet", "batchnorm", "residual", "transformer")
PLAIN = ("mlp", "convnet")
RATES = {"mlp": 20.0, "convnet": 5.0, "batchnorm": 100.0, "residual": 200.0, "transformer": 20.0}


def layers(model: nn.Module, kinds: type | tuple[type, ...] = (nn.Linear, nn.Conv2d)) -> list[Any]:
    """The modules of some kinds, in order."""
    return [module for module in model.modules() if isinstance(module, kinds)]


def every_weight(change: Callable[[Tensor], Any], bias: float | None = 0.0) -> Callable[[nn.Module], None]:
    """Initialize all kernels and matrices by a function in place, biases by a constant."""

    def alter(model: nn.Module) -> None:
        for layer in layers(model):
            change(layer.weight.data)
            if bias is not None and layer.bias is not None:
                nn.init.constant_(layer.bias, bias)

    return alter


def normal(deviation: float) -> Callable[[Tensor], Any]:
    return partial(nn.init.normal_, std=deviation)


def large_head(model: nn.Module) -> None:
    """Scores of a deviation in the tens at the start."""
    nn.init.normal_(layers(model)[-1].weight, std=8.0)


def dead(model: nn.Module) -> None:
    """Biases so low that no unit of the first layer with one ever fires."""
    first = next(layer for layer in layers(model) if layer.bias is not None)
    nn.init.constant_(first.bias, -12.0)


def dead_norm(model: nn.Module) -> None:
    """The same where a normalization comes before the rectifier."""
    nn.init.constant_(layers(model, nn.BatchNorm2d)[0].bias, -12.0)


def head_only(model: nn.Module) -> list[nn.Parameter]:
    """The optimizer was given the last layer alone, though all of them train."""
    return list(layers(model)[-1].parameters())


def all_but_head(model: nn.Module) -> list[nn.Parameter]:
    """The head was replaced after the optimizer had been made."""
    head = {id(parameter) for parameter in layers(model)[-1].parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in head]


def frozen(model: nn.Module) -> None:
    """Everything but the head is frozen by mistake, and handed to the optimizer."""
    for parameter in all_but_head(model):
        parameter.requires_grad_(False)


class Detached(nn.Module):
    """The graph is cut before the head."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.body, self.head = model[:-1], model[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs).detach())


class Then(nn.Module):
    """A model and what is wrongly done to its scores."""

    def __init__(self, model: nn.Module, last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.last = model, last

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.model(inputs))


class Logarithm(nn.Module):
    """log of a rectified value: minus infinity wherever the unit is silent."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.log(F.relu(inputs))


class RootLength(nn.Module):
    """Divides by the length, whose gradient is not a number at the zero vector."""

    def forward(self, inputs: Tensor) -> Tensor:
        length = ((inputs * (inputs > 2.5)) ** 2).sum(1, keepdim=True).sqrt()
        return inputs + length


def inserted(module: Callable[[], nn.Module], place: int) -> Callable[[nn.Module], nn.Module]:
    """One more module in a sequence."""

    def alter(model: nn.Module) -> nn.Module:
        parts = list(model.children())
        return nn.Sequential(*parts[:place], module(), *parts[place:])

    return alter


def sorted_patterns() -> Data:
    """The examples lie class after class."""
    data = patterns(640)
    order = data.labels.argsort(stable=True)
    return Data(data.inputs[order], data.labels[order], data.val_inputs, data.val_labels, data.outputs)


def labels_by_lot(count: int = 200) -> Data:
    """Labels that have nothing to do with the pictures."""
    data = patterns(count)
    generator = torch.Generator().manual_seed(5)
    lots = torch.randint(0, 10, (count + 256,), generator=generator)
    return Data(data.inputs, lots[:count], data.val_inputs, lots[count:], data.outputs)


def one_class_mostly() -> Data:
    """Class 0 has fifty times the examples of class 1, and there are two."""
    data = patterns(1600, classes=2)
    keep = (data.labels == 0) | (torch.arange(1600) < 24)
    return Data(data.inputs[keep], data.labels[keep], data.val_inputs, data.val_labels, 2)


def overlapping() -> Data:
    """Half of the validation examples are training examples too."""
    data = patterns(640)
    inputs, labels = data.val_inputs.clone(), data.val_labels.clone()
    inputs[:128], labels[:128] = data.inputs[:128], data.labels[:128]
    return Data(data.inputs, data.labels, inputs, labels, data.outputs)


def with_missing() -> Data:
    """A few pixels are not numbers."""
    data = patterns(640)
    data.inputs[5, 0, 2, 2] = data.inputs[333, 0, 1, 1] = math.nan
    return data


def raw_pixels(inputs: Tensor) -> Tensor:
    """0 to 255, as they come from the file."""
    return (inputs * 60 + 128).clamp(0, 255).round()


def in_stairs(optimizer: torch.optim.Optimizer) -> LambdaLR:
    """A decay that was meant for every epoch and comes at every eighth step."""
    return LambdaLR(optimizer, lambda step: 0.1 ** (step // 8))


def shuffled_anew(outputs: Tensor, labels: Tensor) -> Tensor:
    """The labels lose their pictures at every step."""
    return F.cross_entropy(outputs, labels[torch.randperm(len(labels))])


def in_half_precision(model: nn.Module) -> None:
    """Gradients of more than 65,504 overflow."""
    model.forward = torch.autocast("cpu", dtype=torch.float16)(model.forward)  # type: ignore[method-assign]


def bends_to_nan() -> Callable[[Tensor, Tensor], Tensor]:
    """A loss written by hand, the logarithm of a probability that underflows."""

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        probabilities = torch.softmax(outputs * 2000, dim=1)
        return -torch.log(probabilities[torch.arange(len(labels)), labels]).mean()

    return loss


def broadcast_mse(outputs: Tensor, labels: Tensor) -> Tensor:
    """(N, 1) against (N,)."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return F.mse_loss(outputs, labels.squeeze(1))


def changes() -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[str], dict[str, Any]]]]:
    """Ailment, what names it rightly (the ailment first), families, and the change of the healthy regimen."""
    high = ("learning-rate-too-high",)
    low = ("learning-rate-too-low",)
    vanishing = ("vanishing-activations", "vanishing-gradient")
    deep = ("mlp",)
    yield "rate of gradient descent too high", high, ALL, lambda f: {"optimizer": sgd(RATES[f])}
    yield "rate of adam too high", high, ("mlp", "convnet", "transformer"), lambda f: {"optimizer": adam(3.0)}
    yield "momentum too high for the rate", high, PLAIN, lambda f: {"optimizer": sgd(0.8, 0.99)}
    yield "rate of gradient descent too low", low, ALL, lambda f: {"optimizer": sgd(1e-6)}
    yield "rate of adam too low", low, ("convnet", "residual", "transformer"), lambda f: {"optimizer": adam(1e-7)}
    yield (
        "rate decays to nothing",
        ("learning-rate-zero",),
        ("mlp", "convnet", "transformer"),
        lambda f: {"schedule": in_stairs, "optimizer": sgd(0.01)},
    )
    yield (
        "gradients never zeroed",
        ("gradients-accumulate",),
        ("mlp", "convnet", "batchnorm", "transformer"),
        lambda f: {"zero": False},
    )
    yield (
        "gradients never zeroed under adam",
        ("gradients-accumulate",),
        ("mlp", "residual"),
        lambda f: {"zero": False, "optimizer": adam()},
    )
    yield (
        "optimizer never steps",
        ("optimizer-not-stepping",),
        ("mlp", "batchnorm", "transformer"),
        lambda f: {"update": False},
    )
    yield (
        "weight decay a thousand times too strong",
        ("regularization-dominates",),
        ("mlp", "convnet", "transformer"),
        lambda f: {"optimizer": sgd(0.05, weight_decay=0.5)},
    )
    yield (
        "gradients clipped to nothing",
        ("learning-rate-too-low", "clipping-always-active"),
        PLAIN,
        lambda f: {"clip": 1e-6},
    )
    yield "missing values in the pictures", ("non-finite-inputs",), PLAIN, lambda f: {"data": with_missing}
    yield (
        "raw pixels",
        ("inputs-not-scaled", "inputs-not-centered"),
        PLAIN,
        lambda f: {"inputs": raw_pixels},
    )
    yield (
        "pictures far from zero",
        ("inputs-not-centered", "inputs-not-scaled"),
        PLAIN,
        lambda f: {"inputs": lambda x: x + 6},
    )
    yield "labels counted from one", ("label-out-of-range",), ("mlp", "residual"), lambda f: {"labels": lambda y: y + 1}
    yield "one class mostly", ("class-imbalance",), ("mlp", "convnet"), lambda f: {"data": one_class_mostly}
    yield (
        "examples in the order of their classes",
        ("unshuffled-batches",),
        ("mlp", "convnet", "batchnorm", "transformer"),
        lambda f: {"data": sorted_patterns, "shuffle": False},
    )
    yield (
        "labels by lot",
        ("labels-unrelated-to-inputs",),
        ("mlp", "convnet", "residual"),
        lambda f: {"data": labels_by_lot, "optimizer": adam(3e-3), "steps": 300},
    )
    yield "validation examples from training", ("train-val-overlap",), PLAIN, lambda f: {"data": overlapping}
    yield (
        "labels lose their pictures",
        ("loss-not-decreasing",),
        ("mlp", "batchnorm"),
        lambda f: {"loss": shuffled_anew, "steps": 240},
    )
    yield (
        "pictures are all zero",
        ("input-ignored", "constant-output", "inputs-not-scaled"),
        ("mlp", "convnet"),
        lambda f: {"inputs": torch.zeros_like},
    )
    yield (
        "only the head is in the optimizer",
        ("parameters-not-in-optimizer",),
        ("mlp", "convnet", "residual", "transformer"),
        lambda f: {"trained": head_only},
    )
    yield (
        "head replaced after the optimizer was made",
        ("parameters-not-in-optimizer",),
        ("batchnorm", "transformer"),
        lambda f: {"trained": all_but_head},
    )
    yield "graph cut before the head", ("no-gradient",), ("mlp", "convnet", "batchnorm"), lambda f: {"alter": Detached}
    yield "frozen by mistake", ("frozen-parameters",), ("convnet", "residual"), lambda f: {"alter": frozen}
    yield (
        "softmax before cross entropy",
        ("double-softmax",),
        ("mlp", "convnet", "transformer"),
        lambda f: {"alter": lambda m: Then(m, partial(torch.softmax, dim=1))},
    )
    yield (
        "raw scores into nll",
        ("loss-expects-log-probabilities",),
        ("mlp", "batchnorm", "transformer"),
        lambda f: {"loss": nn.NLLLoss()},
    )
    yield (
        "sigmoid before a loss that has its own",
        ("double-sigmoid",),
        ("mlp", "convnet"),
        lambda f: {
            "data": yes_or_no,
            "alter": lambda m: Then(m, torch.sigmoid),
            "loss": nn.BCEWithLogitsLoss(),
        },
    )
    yield (
        "loss summed over the batch",
        ("loss-summed-over-batch",),
        ("mlp", "convnet", "residual"),
        lambda f: {"loss": nn.CrossEntropyLoss(reduction="sum"), "optimizer": sgd(2e-3)},
    )
    yield (
        "column against row",
        ("loss-shape-broadcast",),
        ("mlp", "convnet"),
        lambda f: {"data": regression, "loss": broadcast_mse, "optimizer": adam()},
    )
    yield (
        "softmax over the batch",
        ("batch-mixing", "double-softmax"),
        ("mlp", "convnet"),
        lambda f: {"alter": inserted(lambda: nn.Softmax(dim=0), -1)},
    )
    yield (
        "evaluation mode while training",
        ("eval-mode-while-training",),
        ("batchnorm", "residual"),
        lambda f: {"training_mode": False},
    )
    yield (
        "training mode while validating",
        ("train-mode-while-validating",),
        ("batchnorm", "transformer"),
        lambda f: {"evaluation_mode": False, "architecture": {"drop": 0.3}},
    )
    yield "batch norm over two examples", ("batch-norm-small-batch",), ("batchnorm", "residual"), lambda f: {"batch": 2}
    yield (
        "all weights zero",
        ("symmetric-weights",),
        ("mlp", "convnet", "batchnorm"),
        lambda f: {"alter": every_weight(nn.init.zeros_)},
    )
    yield (
        "all weights alike",
        ("symmetric-weights",),
        ("mlp", "convnet"),
        lambda f: {"alter": every_weight(partial(nn.init.constant_, val=0.03)), "optimizer": sgd(0.01)},
    )
    yield (
        "weights too small for ten layers of tanh",
        vanishing,
        deep,
        lambda f: {
            "architecture": {"depth": 10, "activation": nn.Tanh},
            "alter": every_weight(normal(0.01)),
        },
    )
    yield (
        "weights too small for eight layers of relu",
        vanishing,
        deep,
        lambda f: {"architecture": {"depth": 8}, "alter": every_weight(normal(0.02))},
    )
    yield (
        "weights too large for eight layers of relu",
        ("exploding-activations",),
        deep,
        lambda f: {"architecture": {"depth": 8}, "alter": every_weight(normal(0.8)), "optimizer": sgd(1e-6)},
    )
    yield (
        "head too large",
        ("initial-loss-off",),
        ("mlp", "batchnorm", "transformer"),
        lambda f: {"alter": large_head, "optimizer": sgd(1e-3)},
    )
    yield "units that never fire", ("dead-relu",), PLAIN, lambda f: {"alter": dead}
    yield "normalized units that never fire", ("dead-relu",), ("batchnorm", "residual"), lambda f: {"alter": dead_norm}
    yield (
        "tanh at its ends",
        ("saturated-units",),
        ("mlp", "convnet"),
        lambda f: {"architecture": {"activation": nn.Tanh}, "alter": every_weight(normal(2.0)), "optimizer": sgd(1e-3)},
    )
    yield (
        "eight layers of sigmoid",
        ("vanishing-gradient",),
        deep,
        lambda f: {"architecture": {"depth": 8, "activation": nn.Sigmoid}},
    )
    yield (
        "logarithm of a silent unit",
        ("non-finite-activation",),
        ("mlp", "convnet", "batchnorm"),
        lambda f: {"alter": inserted(Logarithm, 3)},
    )
    yield (
        "root of a zero vector",
        ("non-finite-gradient",),
        ("mlp", "batchnorm"),
        lambda f: {"alter": inserted(RootLength, 2)},
    )
    yield (
        "loss by hand that underflows",
        ("non-finite-activation", "loss-diverged", "non-finite-gradient"),
        ("mlp", "convnet"),
        lambda f: {"loss": bends_to_nan(), "optimizer": sgd(1e-4)},
    )
    yield (
        "too few examples",
        ("overfitting",),
        ("mlp", "convnet", "transformer"),
        lambda f: {"data": partial(patterns, 80, noise=3.0), "optimizer": adam(3e-3), "steps": 320},
    )
    yield (
        "nearly everything dropped",
        ("excessive-dropout",),
        ("convnet", "batchnorm"),
        lambda f: {"architecture": {"drop": 0.97}, "steps": 320},
    )
    yield "waits for its data", ("data-bound",), ("mlp", "convnet"), lambda f: {"pause_s": 0.03, "steps": 80}
    yield (
        "graphs are kept",
        ("graph-kept-alive",),
        ("convnet", "residual"),
        lambda f: {"keep_graph": True, "steps": 320, "batch": 128},
    )
    yield (
        "scaler that skips nearly every step",
        ("steps-skipped",),
        ("mlp",),
        lambda f: {
            "scaler": lambda: torch.amp.GradScaler(
                "cpu", init_scale=2.0**40, growth_interval=2000, backoff_factor=0.999
            ),
            "alter": in_half_precision,
        },
    )
    yield (
        "a swing at every step",
        ("loss-oscillating", "learning-rate-too-high"),
        ("mlp",),
        lambda f: {"optimizer": sgd(4.0, 0.0), "batch": 640, "steps": 120},
    )


BY_A_CHECK = {"class-imbalance": "data", "train-val-overlap": "data", "batch-mixing": "batch-mixing"}
"""What only a check of the target shows, and which: such patients come as targets, and are checked first."""

BASE: dict[str, dict[str, Any]] = {"transformer": {"optimizer": adam(2e-3)}}


def patients() -> list[Patient]:
    """All the sick."""
    found = []
    for ailment, rules, families, change in changes():
        for family in families:
            regimen = Regimen(**({"family": family} | BASE.get(family, {}) | change(family)))
            if rules[0] == "gradients-accumulate" and family == "transformer":
                regimen = Regimen(family=family, zero=False, optimizer=sgd(0.02))
            found.append(Patient(f"{ailment}, {family}", family, regimen, rules, checked_by=BY_A_CHECK.get(rules[0])))
    return found


__all__ = ["mlp", "patients"]
