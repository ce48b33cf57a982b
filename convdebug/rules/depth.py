"""Which layers and parameters form the path from input to output, for rules that look through depth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convdebug.rules.curves import column_level, growth, number
from convdebug.rules.facts import Facts, Table, remembered

LEAST_DEPTH = 4  # below, "geometric" cannot be told from chance
RECENT_ROWS = 20
BOUNDED = ("tanh", "sigmoid", "hardtanh", "softsign", "hardsigmoid")
WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d")


@dataclass(frozen=True)
class Profile:
    """One number a layer from input to output, its growth a layer, and how geometric that is (correlation)."""

    names: tuple[str, ...]
    values: np.ndarray
    factor: float
    straightness: float

    @property
    def deep_enough(self) -> bool:
        """Whether there are layers enough to speak of depth."""
        return len(self.names) >= LEAST_DEPTH

    @property
    def whole(self) -> float:
        """The last layer's value against the first's."""
        return float(self.values[-1] / self.values[0]) if len(self.values) and self.values[0] > 0 else float("nan")


def profile(table: Table) -> Profile:
    """The medians of the table's columns as a profile through depth; columns without a number are left out."""
    levels = column_level(table.values)
    known = ~np.isnan(levels)
    names = tuple(name for name, good in zip(table.names, known, strict=True) if good)
    factor, straightness = growth(levels[known])
    return Profile(names, levels[known], factor, straightness)


@remembered
def layers(facts: Facts) -> list[dict[str, Any]]:
    """The measured layers in forward order, as the engine described them."""
    return list(facts.info.get("layers") or [])


def activation_of(layer: dict[str, Any]) -> str:
    """Its nonlinearity in lower case, empty where it has none."""
    return str(layer.get("activation") or "").lower()


@remembered
def hidden_path(facts: Facts) -> list[str]:
    """Where to look for vanishing and exploding: the activations, or else the weighted layers without the last."""
    active = [layer["name"] for layer in layers(facts) if activation_of(layer)]
    if len(active) >= LEAST_DEPTH:
        return active
    weighted = [layer["name"] for layer in layers(facts) if layer.get("kind") in WEIGHTED]
    return weighted[:-1]


@remembered
def bounded_layers(facts: Facts) -> list[str]:
    """Layers that saturate (tanh, sigmoid), without an output layer."""
    listed = layers(facts)
    return [layer["name"] for layer in listed[:-1] if activation_of(layer) in BOUNDED]


@remembered
def rectified_layers(facts: Facts) -> list[str]:
    """Layers whose units can die for good."""
    return [layer["name"] for layer in layers(facts) if activation_of(layer) in ("relu", "relu6")]


@remembered
def normalized(facts: Facts) -> bool:
    """Whether any layer normalizes: the gradient of a bias before it is zero, which means nothing."""
    return any("norm" in str(layer.get("kind", "")).lower() for layer in layers(facts))


def initial(table: Table) -> Table:
    """The first measured row: the network as it was initialized."""
    return table.rows(slice(0, 1))


def recent(table: Table) -> Table:
    """The last measured rows: persistent is what holds over them."""
    return table.rows(slice(-RECENT_ROWS, None))


def depth_text(found: Profile) -> str:
    """First and last value and the factor between, as messages show them."""
    values = found.values
    return (
        f"{number(float(values[0]))} at {found.names[0]}, {number(float(values[-1]))} at {found.names[-1]}: × "
        f"{number(found.factor)} a layer over {len(values)} layers"
    )
