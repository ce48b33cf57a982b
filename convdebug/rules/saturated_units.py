"""Units of tanh or sigmoid layers that sit at the flat ends of their curve."""

import numpy as np

from convdebug.rules.curves import column_level, onset
from convdebug.rules.depth import bounded_layers
from convdebug.rules.facts import Facts, Table
from convdebug.rules.remedies import lower_rate, setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import progress
from convdebug_sessions import Remedy

SATURATED = 0.75  # of a layer's values; a healthy tanh network had 0.59, ill ones 0.90 to 0.94
SATURATED_THOUGH_LEARNING = 0.9
PERSISTENT_ROWS = 3
RECENT_ROWS = 30


def judge(facts: Facts) -> Finding | None:
    """The share of saturated values over the recent measured steps, in the layers that can saturate."""
    share = facts.table("activation", "saturated_fraction").only(set(bounded_layers(facts)))
    if len(share) < PERSISTENT_ROWS or not share.names:
        return None
    usual = column_level(share.values[-min(RECENT_ROWS, max(PERSISTENT_ROWS, len(share) // 4)) :])
    bound = SATURATED_THOUGH_LEARNING if progress(facts).learned else SATURATED
    ill = np.flatnonzero(np.nan_to_num(usual) > bound)
    return _finding(facts, share, usual, ill[np.argsort(-usual[ill], kind="stable")]) if len(ill) else None


def _finding(facts: Facts, share: Table, usual: np.ndarray, ill: np.ndarray) -> Finding:
    """Since when is asked by the lower bound: what learning adds to an ill start is no new ailment."""
    worst, height = share.names[ill[0]], float(usual[ill[0]])
    row = onset(share.values[:, ill[0]] > SATURATED)
    first = int(share.steps[row if row is not None else -1])
    more = f" ({len(ill)} layers are ill)" if len(ill) > 1 else ""
    return Finding(
        "warning",
        f"{height:.0%} of the values of {worst} are saturated, more than {SATURATED:.0%} since step {first}{more}: "
        f"they sit where the curve is flat, and hardly any gradient passes. {_usual_cause(first)}",
        layer=worst,
        layers=tuple(share.names[index] for index in sorted(ill)),
        first_step=first,
        last_step=int(share.steps[-1]),
        evidence={"saturated": height, "layers": float(len(ill))},
        remedies=_remedies(facts, first),
    )


def _usual_cause(first: int) -> str:
    return (
        "The initial weights are too large for the fan-in."
        if first == 0
        else "Usually a learning rate that is too high."
    )


def _remedies(facts: Facts, first: int) -> tuple[Remedy, ...]:
    xavier = setting_remedy(facts, "Initialize with Xavier: deviation 1/√fan-in.", model__init="xavier")
    relu = setting_remedy(facts, "Use ReLU with He weights.", model__activation="relu", model__init="he")
    return (xavier, relu) if first == 0 else (lower_rate(facts), xavier, Remedy("Normalize before the activation."))


RULE = Rule(
    name="saturated-units",
    title="Units are saturated",
    group="activations and gradients",
    severities=("warning",),
    meaning="Most values of a tanh layer lie near -1 or 1, or of a sigmoid layer near 0 or 1. There the curve is "
    "flat, its slope nearly zero, and the gradient is killed.",
    causes="Initial weights that are too large (1.0 · N(0, 1) with a fan-in of 500), inputs that are not scaled, a "
    "learning rate that is too high.",
    remedies="Xavier initialization; scaled inputs; a lower rate; batch normalization before the activation; ReLU.",
    source='Lecture, "Activation Functions": "saturated neurons kill the gradients", "still kills gradients when '
    'saturated". '
    f"|tanh| > 0.97 or sigmoid outside (0.03, 0.97) (makemore) in more than {SATURATED:.0%} of a layer's values, "
    f"{SATURATED_THOUGH_LEARNING:.0%} where the loss falls.",
    judge=judge,
)
