"""The lecture's experiments that a plain RunConfig expresses, by name; loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convdebug.config import RunConfig
from convdebug.errors import UserError, nearest


@dataclass(frozen=True)
class Experiment:
    """A named set-up: what it shows, and the settings that make it."""

    name: str
    title: str
    description: str
    settings: Mapping[str, Any]

    def config(self, **changes: Any) -> RunConfig:
        """The RunConfig of the experiment, with dotted settings changed."""
        return RunConfig.of({**self.settings, **changes})

    def as_json(self) -> dict[str, Any]:
        """What ``convdebug describe`` prints."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "settings": dict(self.settings),
        }


TWO_LAYER = {
    "data.name": "cifar10",
    "data.preprocessing": "zero-center",
    "model.name": "two-layer",
    "model.init": "gaussian",
    "model.init_std": 1e-4,
    "optimizer.name": "sgd",
}
"""The lecture's net for CIFAR-10: pixels 0–255 minus their mean, small Gaussian weights, plain descent."""

TEN_LAYER = {
    "data.name": "gaussian",
    "model.name": "ten-layer",
    "optimizer.name": "sgd",
    "optimizer.lr": 0.01,
    "train.epochs": 5,
}
"""Ten hidden layers of 500 units on unit Gaussian inputs of 500 numbers."""

EXPERIMENTS = (
    Experiment(
        "initial-loss",
        "Is the first loss what chance gives?",
        "Small weights, no regularization: the loss must begin at ln 10 = 2.3026.",
        {**TWO_LAYER, "optimizer.lr": 1e-4, "train.epochs": 1},
    ),
    Experiment(
        "initial-loss-regularized",
        "Does the loss rise with regularization?",
        "The same with ½·1000·‖W‖² added: the loss must begin at about 3.07.",
        {**TWO_LAYER, "optimizer.lr": 1e-6, "regularization.l2": 1e3, "train.epochs": 1},
    ),
    Experiment(
        "overfit-20",
        "Can the net learn 20 examples by heart?",
        "The first 20 examples in full batches, no regularization, 200 epochs: cost near 0, accuracy 1.00.",
        {
            **TWO_LAYER,
            "optimizer.lr": 1e-3,
            "data.limit": 20,
            "data.val_limit": 1000,
            "data.batch_size": 20,
            "train.epochs": 200,
        },
    ),
    Experiment(
        "lr-too-low",
        "A learning rate of 1e-6",
        "The loss stays at 2.30, yet accuracy creeps to 0.2: the scores barely differ, but their order already does.",
        {**TWO_LAYER, "regularization.l2": 1e-6, "optimizer.lr": 1e-6, "data.batch_size": 100, "train.epochs": 10},
    ),
    Experiment(
        "lr-too-high",
        "A learning rate of 1e6",
        "What could possibly go wrong: the loss is NaN within the first epoch.",
        {**TWO_LAYER, "regularization.l2": 1e-6, "optimizer.lr": 1e6, "data.batch_size": 100, "train.epochs": 10},
    ),
    Experiment(
        "ten-layer-tanh-small",
        "Ten tanh layers, weights 0.01 · N(0, 1)",
        "Activations shrink by a factor of four in every layer, and gradients with them.",
        {**TEN_LAYER, "model.activation": "tanh", "model.init": "gaussian", "model.init_std": 0.01},
    ),
    Experiment(
        "ten-layer-tanh-large",
        "Ten tanh layers, weights 1.0 · N(0, 1)",
        "Almost all units sit at ±1; what gradient survives explodes toward the input.",
        {**TEN_LAYER, "model.activation": "tanh", "model.init": "gaussian", "model.init_std": 1.0},
    ),
    Experiment(
        "ten-layer-tanh-xavier",
        "Ten tanh layers, weights N(0, 1)/√fan_in",
        "Healthy: deviations fall slowly from 0.63 to 0.23.",
        {**TEN_LAYER, "model.activation": "tanh", "model.init": "xavier"},
    ),
    Experiment(
        "ten-layer-relu-xavier",
        "Ten ReLU layers, weights N(0, 1)/√fan_in",
        "The variance halves with every layer: this form breaks with ReLU.",
        {**TEN_LAYER, "model.activation": "relu", "model.init": "xavier"},
    ),
    Experiment(
        "ten-layer-relu-he",
        "Ten ReLU layers, weights N(0, 1)·√(2/fan_in)",
        "Healthy: all deviations are about 0.8.",
        {**TEN_LAYER, "model.activation": "relu", "model.init": "he"},
    ),
    Experiment(
        "zero-init",
        "All weights and biases zero",
        "Every unit stays like its neighbour; only the biases of the last layer learn.",
        {"data.name": "cifar10", "model.name": "two-layer", "model.init": "zero", "train.epochs": 2},
    ),
    Experiment(
        "convnetjs-cifar10",
        "The ConvNetJS CIFAR-10 demo",
        "Its net, its optimizer and its batches of four.",
        {
            "data.name": "cifar10",
            "model.name": "convnetjs",
            "optimizer.name": "adadelta",
            "regularization.l2": 1e-4,
            "data.batch_size": 4,
            "train.epochs": 1,
        },
    ),
)


def experiment(name: str) -> Experiment:
    """The experiment called ``name``; UserError with the nearest name otherwise."""
    known = {each.name: each for each in EXPERIMENTS}
    if name not in known:
        raise UserError(f"there is no experiment {name!r}{nearest(name, known)}")
    return known[name]
