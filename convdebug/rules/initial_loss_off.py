"""The first loss is far from what chance gives."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Curve, Facts, remembered
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import LEARNED, accuracy, begins_at_the_start, chance_loss, heads
from convdebug_sessions import Remedy

INFO_ABOVE = 1.15  # × ln C; torchvision's healthy ResNet-18 starts at 1.03 to 1.11 × ln 10
WARNING_ABOVE = 1.5
ERROR_ABOVE = 3.0  # the lecture's bound for a cost that has exploded
WARNING_BELOW = 0.5  # impossible for a network that knows nothing
KNOWS_SOMETHING = 2.0  # × chance accuracy: pretrained
CLASS_LOSSES = ("loss/cross_entropy", "loss/nll_loss")  # judged alone where a distillation or a penalty is added
JUDGED_LOSSES = (*CLASS_LOSSES, "loss/binary_cross_entropy", "loss/binary_cross_entropy_with_logits")
FAR_DIVIDED = 1 / 100  # more than anybody accumulates
SAME_PART = 0.02
LEAST_ROWS = 3
SMALL_BATCH = 16  # below, one batch is too few to judge from alone


def severity_of(loss: float, chance: float) -> str | None:
    """How bad a first loss is against chance; None where it is fine."""
    if loss > ERROR_ABOVE * chance:
        return "error"
    if loss > WARNING_ABOVE * chance or loss < WARNING_BELOW * chance:
        return "warning"
    return "info" if loss > INFO_ABOVE * chance else None


def judge(facts: Facts) -> Finding | None:
    """Compare the loss of step 0 with ln C, that of each head with its own."""
    if facts.info.get("num_classes") == 1 and "loss/cross_entropy" in facts.names and _first_loss(facts) == 0:
        return _one_class()
    divided = _divided(facts)
    if divided is not None:
        return divided
    if not begins_at_the_start(facts):
        return None
    found = [each for each in map(partial(_judged, facts), _starts(facts)) if each is not None]
    return min(found, key=lambda each: ("error", "warning", "info").index(each.severity), default=None)


@dataclass(frozen=True)
class Start:
    """A first loss and what guessing gives, NaN where it is not known; `function` where it is one of several."""

    loss: float
    chance: float
    function: str = ""


def _starts(facts: Facts) -> list[Start]:
    """The first loss of each head against its own chance; where none is known that of a single function."""
    several = len(heads(facts)) > 1
    known = [Start(_first_of(facts, each.losses), each.chance, each.function * several) for each in heads(facts)]
    if known or len([name for name in JUDGED_LOSSES if name in facts.names]) > 1:
        return known
    return [Start(_first_loss(facts), chance_loss(facts))]


def _judged(facts: Facts, start: Start) -> Finding | None:
    loss, chance = start.loss, start.chance
    if not math.isfinite(loss) or not math.isfinite(chance):
        return None
    severity = severity_of(loss, chance)
    if severity is None or (loss < chance and (_is_not_rated(facts, start) or _knows_something(facts))):
        return None
    of = f" of {start.function}" if start.function else ""
    return Finding(
        severity,
        f"The first loss{of} is {number(loss)}; guessing among {_classes(chance)} classes gives {number(chance)} "
        f"({loss / chance:.1f} times). {_usual_meaning(loss, chance)}",
        evidence={"first_loss": loss, "expected": chance, "ratio": loss / chance},
        remedies=_remedies(loss, chance),
    )


def _is_not_rated(facts: Facts, start: Start) -> bool:
    """Whether nobody knows the accuracy of this head, which may well know something already."""
    return bool(start.function) and _classes(start.chance) != facts.info.get("num_classes")


def _divided(facts: Facts) -> Finding | None:
    """What is minimized is one and the same small part of what the only loss function gives."""
    names = [name for name in facts.names if name.startswith("loss/")]
    total, function = facts.curve("train/loss").finite(), facts.curve(names[0] if names else "").finite()
    steps = np.intersect1d(total.steps, function.steps)
    if len(names) != 1 or len(steps) < LEAST_ROWS:
        return None
    given = function.values[np.searchsorted(function.steps, steps)]
    parts = total.values[np.searchsorted(total.steps, steps)] / np.where(given > 0, given, np.nan)
    part = level(parts)
    if not 0 < part < FAR_DIVIDED or np.nanmax(np.abs(parts / part - 1)) > SAME_PART:
        return None
    learned = given[-1] < LEARNED * given[0]
    name, first = names[0].removeprefix("loss/"), float(given[0])
    return Finding(
        "info" if learned else "warning",
        f"What is minimized is {name} divided by {1 / part:.0f}: {name} itself begins at {number(first)}, the loss "
        f"at {number(part * first)}. It takes the mean already, and every gradient is that much smaller.",
        first_step=int(steps[0]),
        evidence={"first_loss": part * first, "expected": first, "ratio": part},
        remedies=(
            Remedy("Leave out the division: the loss function takes the mean over the batch itself."),
            Remedy("For accumulation divide by the number of batches that are accumulated, not of examples."),
        ),
    )


def _one_class() -> Finding:
    return Finding(
        "error",
        "Cross entropy is given the score of one class: its probability is 1 whatever the score is, so that the loss "
        "is 0 from the first step on and nothing can be learned.",
        evidence={"first_loss": 0.0, "classes": 1.0},
        remedies=(
            Remedy("Two classes by one score: binary_cross_entropy_with_logits, with labels of 0 and 1 as float."),
            Remedy("Cross entropy: as many outputs as there are classes."),
        ),
    )


@remembered
def begins_far_off(facts: Facts) -> bool:
    """Whether the first loss is so far above chance that the scores themselves must be huge."""
    return any(math.isfinite(each.loss) and each.loss > ERROR_ABOVE * each.chance for each in _starts(facts))


def _first_loss(facts: Facts) -> float:
    return _first_of(facts, _data_loss(facts))


def _first_of(facts: Facts, curve: Curve) -> float:
    if not len(curve) or curve.steps[0] > 0:
        return float("nan")
    first = float(curve.values[0])
    small = (facts.info.get("batch_size") or SMALL_BATCH) < SMALL_BATCH
    return level(curve.values[:5]) if small and len(curve) >= 5 else first


def _data_loss(facts: Facts) -> Curve:
    named = sorted(name for name in facts.names if name.startswith("loss/"))
    of_classes = [name for name in CLASS_LOSSES if name in named]
    if len(named) == 1 or of_classes:
        return facts.curve((of_classes or named)[0])
    total, penalty = facts.curve("train/loss"), facts.curve("train/penalty")
    if facts.setting("regularization.l2") and len(penalty) and len(total) and penalty.steps[0] == total.steps[0]:
        return Curve(total.steps[:1], total.values[:1] - penalty.values[:1])
    return total


def _knows_something(facts: Facts) -> bool:
    classes = facts.info.get("num_classes")
    first, _ = accuracy(facts)
    return not classes or not math.isfinite(first) or first > KNOWS_SOMETHING / classes


def _classes(chance: float) -> int:
    return round(math.exp(chance))


def _usual_meaning(loss: float, chance: float) -> str:
    if loss < chance:
        return "A network that knows nothing cannot do better: the loss is probably scaled down, or labels leak in."
    return "The network starts out confident and wrong: usually its weights or its inputs are too large."


def _remedies(loss: float, chance: float) -> tuple[Remedy, ...]:
    if loss < chance:
        return (Remedy("Check how the loss is averaged and that no label reaches the input."),)
    return (
        Remedy("Scale the inputs to mean 0 and deviation 1."),
        Remedy(
            "Initialize the last layer with smaller weights (Xavier or He; a zero last layer starts at ln C exactly)."
        ),
    )


RULE = Rule(
    name="initial-loss-off",
    title="First loss is far from chance",
    group="initialization",
    severities=("error", "warning", "info"),
    meaning="Before the first update a network knows nothing, so its loss should be that of guessing: ln C for C "
    "classes, 2.303 for ten. A first loss far above means that the scores start out large and wrong, and the first "
    "steps are spent on unlearning them; far below means that the loss is not what it seems.",
    causes="Weights that are too large, inputs that are not scaled (raw 0-255 pixels), a loss summed over the batch "
    "instead of averaged, a loss function that expects something else than it is given.",
    remedies="Center and scale the inputs; initialize with Xavier or He; make the last layer's weights small; check "
    "the reduction of the loss. Check it with regularization off.",
    source=f'Lecture, "Double-check that the Loss is Reasonable": 2.302 for ten classes. Info above {INFO_ABOVE} ×, '
    f"warning above {WARNING_ABOVE} × or below {WARNING_BELOW} ×, error above {ERROR_ABOVE:g} × chance.",
    judge=judge,
)
