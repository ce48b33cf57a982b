"""Validation is better than training, beyond what dropout, augmentation and averaging explain."""

import math

import numpy as np

from convdebug.rules.curves import number
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.rule import Finding, Rule, known
from convdebug_sessions import Remedy

LEAST_EVALUATIONS = 4
BETTER = 0.75  # × the training loss around the evaluation
BETTER_ACCURACY = 0.05
NOISY_KINDS = ("Dropout", "AlphaDropout", "FeatureAlphaDropout")


def judge(facts: Facts) -> Finding | None:
    """The last evaluations against the training loss just before and just after them."""
    validation = facts.curve("val/loss").finite()
    if len(validation) < LEAST_EVALUATIONS or _explained(facts):
        return None
    rows = validation.steps[-LEAST_EVALUATIONS:]
    spacing = max(5, int(np.median(np.diff(validation.steps))) // 2)
    training = np.array([_around(facts.curve("train/loss"), int(step), spacing) for step in rows])
    losses = validation.values[-LEAST_EVALUATIONS:] + _penalty(facts)
    if not (losses < BETTER * training).all():
        return None
    right, theirs = _accuracies(facts, int(rows[-1]), spacing)
    if math.isfinite(right) and math.isfinite(theirs) and theirs < right + BETTER_ACCURACY:
        return None
    return Finding(
        "info",
        f"At the last {len(rows)} evaluations validation loss ({number(float(losses[-1]))}) was well below training "
        f"loss ({number(float(training[-1]))}), and nothing that is switched off in evaluation explains it. The "
        "validation examples are easier, too few, or known to the network.",
        first_step=int(rows[0]),
        last_step=int(rows[-1]),
        evidence=known(val_loss=float(losses[-1]), train_loss=float(training[-1]), train_accuracy=right,
                       val_accuracy=theirs),
        remedies=(
            Remedy("Look for examples that stand in both splits, and at how the split was drawn."),
            Remedy("If the data set augments or adds noise by itself, this is what one expects."),
        ),
    )  # fmt: skip


def _explained(facts: Facts) -> bool:
    """Whether dropout or augmentation makes training harder than evaluation, or its loss holds more than that one."""
    kinds = {str(layer.get("kind")) for layer in facts.info.get("layers") or ()}
    augmented = str(facts.setting("data.augmentation") or "none") != "none"
    composed = bool((facts.info.get("loss") or {}).get("part"))  # and the evaluation's is torch's function alone
    composed = composed or facts.info.get("evaluated_loss") == "part"
    return (
        augmented or composed or bool(facts.info.get("dropout")) or any(kind.startswith(NOISY_KINDS) for kind in kinds)
    )


def _around(curve: Curve, step: int, spacing: int) -> float:
    """The lower of the means before and after a step: the network learns in between."""
    before = (curve.steps <= step) & (curve.steps > step - spacing) & np.isfinite(curve.values)
    after = (curve.steps > step) & (curve.steps <= step + spacing) & np.isfinite(curve.values)
    means = [float(curve.values[inside].mean()) for inside in (before, after) if inside.any()]
    return min(means, default=math.nan)


def _penalty(facts: Facts) -> float:
    """The penalty, where it is in the training loss and not in the validation loss."""
    penalty = facts.curve("train/penalty").finite().values
    return float(penalty[-1]) if len(penalty) and facts.setting("regularization.l2") else 0.0


def _accuracies(facts: Facts, step: int, spacing: int) -> tuple[float, float]:
    theirs = facts.curve("val/accuracy").finite().values
    return _around(facts.curve("train/accuracy"), step, spacing), float(theirs[-1]) if len(theirs) else math.nan


RULE = Rule(
    name="validation-better-than-train",
    title="Validation is better than training",
    group="generalisation",
    severities=("info",),
    meaning="New examples are answered better than those the network trains on, at one evaluation after another. "
    "Dropout and augmentation, which only make training harder, would explain it; here there are none.",
    causes="Validation examples that are easier or far fewer, a split by source or difficulty, copies of training "
    "examples, label noise in the training split alone, augmentation inside the data set.",
    remedies="Draw the split at random and by source; compare both splits.",
    source='Lecture, "Monitor and visualize the accuracy". Validation loss below '
    f"{BETTER} × the training loss before and after it at {LEAST_EVALUATIONS} evaluations, accuracy {BETTER_ACCURACY} "
    "better; silent where dropout, augmentation or further terms of the training loss are known.",
    judge=judge,
)
