"""Weight decay outweighs the data: the weights shrink and nothing is learned."""

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import NOTHING, Curve, Facts
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import base_rate, chance_loss, trains_beside_another, update_ratio, weights
from convdebug_sessions import Remedy

LEAST_STEPS = 50
LEAST_ROWS = 8  # of a loss function that is measured now and then
TOTAL_FALLEN = 0.8  # by what is added alone
STILL_HIGH = 0.5  # of the first
SHRUNK = 0.8  # of the first norm of all weights
NOT_FALLEN = 0.95  # of the first data loss and of chance
USUAL_DECAY = 0.1  # up to here it is the rate, which it is multiplied by, that is too high
GROWN = 2.0  # × the first norm: weights that were thrown out first are pulled back by what would be no harm
FAR_ABOVE = 10.0  # × the data loss: what is added, to the end
SHARE_OF_UPDATES = 0.5  # of a step's movement that is decay, where decay is no part of the gradient
DECOUPLED = ("AdamW",)


@dataclass(frozen=True)
class Pull:
    """How strongly the weights are pulled to zero: the penalty against the data loss, or the share of the steps."""

    strength: float
    words: str


def judge(facts: Facts) -> Finding | None:
    """A penalty above the data loss (or decay that is most of each step), shrinking weights, a data loss that stays."""
    norms = _norms(facts)
    if len(norms) < 3 or norms.values.max() > GROWN * norms.values[0]:
        return None
    return _of_known_penalty(facts, norms) or _of_rest(facts, norms)


def _of_known_penalty(facts: Facts, norms: Curve) -> Finding | None:
    data = data_loss(facts).finite()
    if len(data) < LEAST_STEPS:
        return None
    width = max(5, len(data) // 10)
    first, now = level(data.values[:5]), level(data.values[-width:])
    if now < NOT_FALLEN * float(np.fmin(first, chance_loss(facts))) or norms.values[-1] > SHRUNK * norms.values[0]:
        return None
    pull = _by_penalty(facts, first) or _by_decay(facts)
    if pull is None:
        return None
    return _finding(facts, pull, norms, data, first, now)


def _finding(facts: Facts, pull: Pull, norms: Curve, data: Curve, first: float, now: float) -> Finding:
    shrunk = float(norms.values[-1] / norms.values[0])
    return Finding(
        "warning",
        f"{pull.words}. The weights have shrunk to {shrunk:.0%} of their size, and the data loss has gone from "
        f"{number(first)} to {number(now)}: the network is pulled to zero faster than it learns.",
        first_step=int(data.steps[0]),
        last_step=int(data.steps[-1]),
        evidence=known(pull=pull.strength, shrunk=shrunk, first_data_loss=first, data_loss=now),
        remedies=_remedies(facts),
    )


def _of_rest(facts: Facts, norms: Curve) -> Finding | None:
    """What the loop adds to the loss functions of torch outweighs them, and falls while they do not.

    They stay where they began, or do not come further in the second half of the run. Where loss functions are only
    weighted or divided the total falls and rises with them, and nothing is said.
    """
    data, rest = _heard_and_rest(facts)
    if len(data) < LEAST_ROWS or data.steps[-1] - data.steps[0] < LEAST_STEPS or trains_beside_another(facts):
        return None
    quarters = np.array_split(np.arange(len(data)), 4)
    levels = np.array([level(data.values[rows]) for rows in quarters])
    totals = np.array([level(data.values[rows] + rest.values[rows]) for rows in quarters])
    first, start = level(data.values[:3]), level(rest.values[:3])
    if not start > first or not norms.values[-1] <= SHRUNK * norms.values[0]:
        return None
    stayed = levels[-1] >= NOT_FALLEN * float(np.fmin(first, _chance_of_the_function(facts))) and totals[
        -1
    ] < TOTAL_FALLEN * (start + first)
    far_below = level(rest.values[quarters[-1]]) > FAR_ABOVE * levels[-1]
    idle = levels[-1] >= (NOT_FALLEN if far_below else 1.0) * levels[1] and totals[-1] < TOTAL_FALLEN * totals[1]
    outweighed = level(rest.values[quarters[-1]]) > levels[-1] > STILL_HIGH * first
    if not stayed and not (idle and outweighed):
        return None
    words = f"At the start what is added to the loss function is {number(start)}, the loss function itself "
    pull = Pull(start / first, words + number(first))
    return _finding(facts, pull, norms, data, first, float(levels[-1]))


def _chance_of_the_function(facts: Facts) -> float:
    """ln C where what is added to is a cross entropy over C classes; else NaN."""
    classes, part = facts.info.get("num_classes"), (facts.info.get("loss") or {}).get("part")
    return math.log(classes) if classes and part in ("cross_entropy", "nll_loss") else math.nan


def _heard_and_rest(facts: Facts) -> tuple[Curve, Curve]:
    """The loss functions of torch together where they were measured, and what the loop's loss is beside them."""
    names = sorted(name for name in facts.names if name.startswith("loss/"))
    total = facts.curve("train/loss").finite()
    if not names or not len(total) or _is_in_the_loss(facts):
        return NOTHING, NOTHING
    parts = [facts.curve(name).finite() for name in names]
    steps = reduce(np.intersect1d, [part.steps for part in parts], total.steps)
    data = np.stack([part.values[np.searchsorted(part.steps, steps)] for part in parts]).sum(axis=0)
    return Curve(steps, data), Curve(steps, total.values[np.searchsorted(total.steps, steps)] - data)


def data_loss(facts: Facts) -> Curve:
    """The loss without the penalty, where the penalty is a part of it."""
    loss, penalty = facts.curve("train/loss"), facts.curve("train/penalty")
    if not _is_in_the_loss(facts):
        return loss
    rows = np.clip(np.searchsorted(penalty.steps, loss.steps, side="right") - 1, 0, None)
    with np.errstate(invalid="ignore"):
        return Curve(loss.steps, loss.values - penalty.values[rows])


def _is_in_the_loss(facts: Facts) -> bool:
    """Whether a penalty is known that is a part of the loss; an optimizer's decay is none."""
    inside = bool(facts.setting("regularization.l2")) or not _decay(facts)
    return inside and len(facts.curve("train/penalty")) > 0


def _decay(facts: Facts) -> float:
    return float((facts.info.get("optimizer") or {}).get("weight_decay") or 0.0)


def _norms(facts: Facts) -> Curve:
    """The norm of all weights together at each measured step."""
    table = facts.table("weight", "norm")
    table = table.only(weights(facts) or set(table.names))
    good = np.isfinite(table.values).all(axis=1) if table.names else np.zeros(len(table), bool)
    return Curve(table.steps[good], np.sqrt((table.values[good].astype(float) ** 2).sum(axis=1)))


def _by_penalty(facts: Facts, first: float) -> Pull | None:
    penalty = facts.curve("train/penalty").finite().values
    start = level(penalty[:5])
    if not start > first:
        return None
    return Pull(
        start / first, f"At the start the penalty on the weights is {number(start)}, the data loss {number(first)}"
    )


def _by_decay(facts: Facts) -> Pull | None:
    optimizer = facts.info.get("optimizer") or {}
    decoupled = optimizer.get("name") in DECOUPLED or optimizer.get("decoupled_weight_decay")
    moved = level(update_ratio(facts).values)
    pulled = base_rate(facts) * _decay(facts)
    if (
        not decoupled
        or _decay(facts) <= USUAL_DECAY
        or not math.isfinite(moved)
        or not pulled > SHARE_OF_UPDATES * moved
    ):
        return None
    return Pull(
        pulled / moved, f"Each step takes {number(pulled)} of every weight away, {pulled / moved:.0%} of all it moves"
    )


def _remedies(facts: Facts) -> tuple[Remedy, ...]:
    if not _decay(facts) and not len(facts.curve("train/penalty")):
        return (Remedy("Give what is added to the loss a small weight; on the squares of the weights about 1e-4."),)
    if facts.setting("regularization.l2"):
        return (setting_remedy(facts, "Lower the L2 penalty to 1e-4.", regularization__l2=1e-4),)
    return (
        setting_remedy(facts, "Lower the weight decay to 5e-4.", optimizer__weight_decay=5e-4),
        Remedy("Start with almost no regularization, find a rate that works, then raise it."),
    )


RULE = Rule(
    name="regularization-dominates",
    title="Regularization outweighs the data",
    group="updates",
    severities=("warning",),
    meaning="The penalty on the size of the weights is larger than the loss on the data, the weights shrink, and the "
    "data are not learned: all the training does is to make the weights small.",
    causes="A weight decay too strong by orders of magnitude, a value from AdamW used in SGD or the reverse, a penalty "
    "summed where it should be averaged.",
    remedies="Take it down to 5e-4 or less; begin with almost none, as the lecture does, and raise it later.",
    source='Lecture, "I like to start with small regularization and find learning rate that makes the loss go down". '
    "Penalty (½ · decay · ‖w‖²) above the data loss at the start, or decay as more than "
    f"{SHARE_OF_UPDATES:.0%} of each step; weights below {SHRUNK:.0%} of their first norm; data loss above "
    f"{NOT_FALLEN:.0%} of its start. A penalty by hand is what the loss has beside torch's functions: above them at "
    "the start, and falling while they do not. A healthy residual network starts with a penalty of 1.9 and learns.",
    judge=judge,
)
