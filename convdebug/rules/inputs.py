"""Inputs that are not scaled, not centered, or not finite."""

import math
from dataclasses import dataclass

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts, remembered
from convdebug.rules.initial_loss_off import WARNING_ABOVE
from convdebug.rules.learning_rate_too_high import TOO_LARGE, has_high_rate
from convdebug.rules.origin import first_origin, rows_text
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, chance_loss, first_loss, progress, update_ratio
from convdebug_sessions import Remedy

WIDE = 10.0
NARROW = 0.05
OFF_CENTER = 0.5  # |mean| against the deviation
FAR_OFF_CENTER = 1.0
NEAR_CENTER = 2.0  # evenly spread from 0 on: 1.73
NEARLY_ALL = 0.05  # of the first loss is left
EARLY_ROWS = 20
NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "SyncBatchNorm")


@dataclass(frozen=True)
class Inputs:
    """Mean, deviation and range of what the network sees, medians over the first steps."""

    mean: float
    std: float
    low: float
    high: float
    last_step: int

    @property
    def in_unit_range(self) -> bool:
        """Plain [0, 1] pixels."""
        return self.low >= -1e-6 and self.high <= 1 + 1e-6

    @property
    def text(self) -> str:
        """As messages quote it."""
        return f"from {self.low:.3g} to {self.high:.3g}, mean {self.mean:.3g}, deviation {self.std:.3g}"


@remembered
def inputs(facts: Facts) -> Inputs | None:
    """The statistics of the first batches, None where no data was measured or all of it is constant.

    What another model answers is no data: a critic is given what a generator makes.
    """
    curves = [facts.curve(f"input/{what}") for what in ("mean", "std", "min", "max")]
    if not all(len(curve) for curve in curves) or are_no_data(facts):
        return None
    mean, std, low, high = (level(curve.values[:EARLY_ROWS]) for curve in curves)
    return Inputs(mean, std, low, high, int(curves[0].steps[-1])) if math.isfinite(std) and std > 0 else None


def are_no_data(facts: Facts) -> bool:
    """Whether the first numbers that the network is given are no data: another's answer, or a mask beside tokens."""
    return _looks_up_embeddings(facts) or bool(facts.info.get("fed_by"))


def _looks_up_embeddings(facts: Facts) -> bool:
    layers = facts.info.get("layers") or []
    return bool(layers) and str(layers[0].get("kind", "")).startswith("Embedding")


def judge_scale(facts: Facts) -> Finding | None:
    """A deviation far from 1: a warning where the training suffers from it, else worth knowing."""
    found = inputs(facts)
    if found is None or not begins_at_the_start(facts) or NARROW <= found.std <= WIDE:
        return None
    if _scaled_inside(facts):
        return None
    harm = _harm(facts, found)
    return Finding(
        "warning" if harm else "info",
        f"The inputs lie {found.text}; networks are made for a deviation near 1. "
        + (harm or "The training does not suffer visibly, as the rate and the weights happen to fit this scale."),
        last_step=found.last_step,
        evidence={"mean": found.mean, "std": found.std, "min": found.low, "max": found.high},
        remedies=(
            setting_remedy(
                facts, "Center and scale the inputs (preprocessing normalize).", data__preprocessing="normalize"
            ),
            Remedy("Subtract the mean of the training set and divide by its deviation, channel by channel."),
        ),
    )


def _harm(facts: Facts, found: Inputs) -> str:
    first, chance = first_loss(facts), chance_loss(facts)
    if found.std < NARROW:
        return "The loss does not move: signals of this size drown in the biases." if progress(facts).stuck else ""
    if math.isfinite(chance) and first > WARNING_ABOVE * chance:
        return f"The scores inherit that size: the first loss is {number(first)} where chance gives {number(chance)}."
    guess = progress(facts).guess
    if math.isfinite(guess) and first > WARNING_ABOVE * guess and has_high_rate(facts):
        return f"The answers inherit that size: the first loss is {number(first)}, the mean label's {number(guess)}."
    return _harm_by_gradients(facts, found)


def _harm_by_gradients(facts: Facts, found: Inputs) -> str:
    """The updates are too large, and would not be if inputs (and with them the first gradients) were scaled."""
    ratio = update_ratio(facts).finite().values[:3]
    largest = next((float(each) for each in ratio if each > TOO_LARGE), 0.0)  # later ones may be a divergence's own
    scaled = largest / found.std**2
    if not has_high_rate(facts) or largest < TOO_LARGE or scaled > TOO_LARGE:
        return ""
    return f"The gradients inherit that size: the first updates move the weights by {number(largest)} of their size."


def judge_center(facts: Facts) -> Finding | None:
    """A mean far from 0 against the deviation."""
    found = inputs(facts)
    if found is None or not begins_at_the_start(facts) or abs(found.mean) <= OFF_CENTER * found.std:
        return None
    if _centered_inside(facts):
        return None
    plain = found.in_unit_range or abs(found.mean) <= FAR_OFF_CENTER * found.std
    unharmed = _learned_all_the_same(facts, found)
    harm = "All weights of a unit are then pushed in the same direction at once, and learning zigzags."
    if unharmed:
        harm = f"The training does not suffer visibly: the loss has come down from {number(progress(facts).start)} to "
        harm += f"{number(progress(facts).now)}."
    return Finding(
        "info" if plain or unharmed else "warning",
        f"The inputs lie {found.text}: their mean is {number(abs(found.mean) / found.std)} deviations from 0. {harm}",
        last_step=found.last_step,
        evidence={"mean": found.mean, "std": found.std},
        remedies=(
            setting_remedy(facts, "Subtract the mean of the training set.", data__preprocessing="normalize"),
            Remedy("Subtract the mean image or the mean of each channel, computed on the training set alone."),
        ),
    )


def _learned_all_the_same(facts: Facts, found: Inputs) -> bool:
    """Whether inputs of a fitting scale, as of a coordinate from 0 to π, kept nothing from being learned."""
    near = abs(found.mean) <= NEAR_CENTER * found.std and NARROW <= found.std <= WIDE
    now = progress(facts)
    return near and 0 <= now.now < NEARLY_ALL * now.start


def judge_finite(facts: Facts) -> Finding | None:
    """NaN or Inf in any batch, or counted in the data."""
    counted = sum(int(_count(event.data)) for event in facts.survey("data"))
    bad = [
        curve.steps[~np.isfinite(curve.values)] for curve in map(facts.curve, ("input/mean", "input/min", "input/max"))
    ]
    steps = np.unique(np.concatenate(bad))
    seen = first_origin(facts, "inputs")
    if not counted and not len(steps) and seen is None:
        return None
    if seen is not None:
        steps = np.union1d(steps, [seen.step])
    first = int(steps[0]) if len(steps) else 0
    where = f"in {len(steps)} measured batches, first at step {first}" if len(steps) else f"{counted} times in the data"
    where += rows_text(seen) if seen is not None else ""
    return Finding(
        "error",
        f"The inputs contain NaN or Inf ({where}). One such value makes the loss and then every weight NaN.",
        first_step=first,
        last_step=int(steps[-1]) if len(steps) else 0,
        evidence={"batches": float(len(steps)), "values": float(counted)},
        remedies=(
            Remedy("Find these examples and drop or repair them; look for divisions by zero in the preprocessing."),
        ),
    )


def _count(data: dict) -> float:
    """All counts under `non_finite`, however the statistics are nested."""
    total = 0.0
    for key, value in data.items():
        if key == "non_finite":
            total += float(np.sum(value))
        elif isinstance(value, dict):
            total += _count(value)
    return total


@remembered
def _at_the_first_weights(facts: Facts) -> tuple[float, float] | None:
    """Mean and deviation of what the first layer with weights is given; None where that is unknown."""
    layers, entrance = facts.info.get("layers") or [{}], facts.info.get("entrance") or {}
    if str(layers[0].get("kind", "")).startswith(NORMS):
        return 0.0, 1.0
    return (float(entrance["mean"]), float(entrance["std"])) if entrance.get("std") else None


def _scaled_inside(facts: Facts) -> bool:
    found = _at_the_first_weights(facts)
    return found is not None and NARROW <= found[1] <= WIDE


def _centered_inside(facts: Facts) -> bool:
    found = _at_the_first_weights(facts)
    return found is not None and abs(found[0]) <= OFF_CENTER * found[1]


NOT_FINITE = Rule(
    name="non-finite-inputs",
    title="Inputs contain NaN or Inf",
    group="data",
    severities=("error",),
    meaning="Some input is not a number. It spreads through every layer into the loss and from there into all weights.",
    causes="Missing values read as NaN, a division by the deviation of a constant feature, overflow in half "
    "precision, broken files.",
    remedies="Drop or repair the examples; guard the normalization against a deviation of zero.",
    source="Any such value counts.",
    judge=judge_finite,
)

NOT_SCALED = Rule(
    name="inputs-not-scaled",
    title="Inputs are not scaled",
    group="data",
    severities=("warning", "info"),
    meaning="The inputs' deviation is far from 1, for example raw pixels of 0-255. Initializations and common "
    "learning rates assume 1: the first scores, and the gradients of the first layer, inherit the scale of the "
    "inputs.",
    causes="Forgotten normalization, a ToTensor that was left out, features in their physical units, scaling done "
    "twice.",
    remedies="Subtract the mean and divide by the deviation of the training set, per channel.",
    source='Lecture, "Zero-Center & Normalize Data". The lecture itself only centers and trains on pixels of ±128 '
    f"with a matching rate: an info. Deviation above {WIDE:g} or below {NARROW}, at the first layer with weights too; "
    "a warning where the first loss or the first updates suffer from it.",
    judge=judge_scale,
)

NOT_CENTERED = Rule(
    name="inputs-not-centered",
    title="Inputs are not centered",
    group="data",
    severities=("warning", "info"),
    meaning="The inputs' mean is far from zero against their spread. Inputs that are all positive make the gradients "
    "of all weights of a unit share one sign.",
    causes="Pixels of 0-255 or 0-1 used as they are; statistics of another data set.",
    remedies="Subtract the mean image, or the mean of each channel, of the training set.",
    source=f'Lecture, "In Practice, for Images: Center Only". |mean| above {OFF_CENTER} deviations; info up to '
    f"{FAR_OFF_CENTER:g} and for plain [0, 1] pixels, which are common and train, and up to {NEAR_CENTER:g} where less "
    f"than {NEARLY_ALL:.0%} of the first loss is left; nothing where a norm or the model "
    "itself centers them before the first weights.",
    judge=judge_center,
)
