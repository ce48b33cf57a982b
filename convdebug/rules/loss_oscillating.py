"""Large swings of the loss with no progress."""

import math
from dataclasses import dataclass

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.remedies import lower_rate
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import accuracy, first_loss, progress
from convdebug_sessions import Remedy

LEAST_BLOCKS = 24
EXAMPLES_A_BLOCK = 256  # averaged, so that the noise of small batches is no swing
SWING = 1.35  # the upper against the lower tenth of the blocks in the second half
TIMES_NOISE = 2.5  # the deviation of the blocks against what the scatter inside them explains
LEAST_TURNS = 0.25  # of the blocks: it goes up and down, not once up or down
NO_PROGRESS = 0.97  # the last quarter against the one before
STILL_HIGH = 0.2  # of the first loss: below, swings are those of a small number
SOLVED = 0.9  # training accuracy
CLOSE_TO_ONE = 0.99  # momentum
BLOCKS_OF_A_RUN = 10
HAD_FALLEN, CARRIED = 0.7, 1.5  # of the first loss; × the lowest mean of a block


@dataclass(frozen=True)
class Swing:
    """Blocks `(n)` of the second half: their lower and upper tenth, how often the curve turns, the noise in them."""

    low: float
    high: float
    deviation: float
    noise: float
    turns: float
    first_row: int


def judge(facts: Facts) -> Finding | None:
    """Means over blocks of rows that go up and down far more than their own noise, and lead nowhere."""
    loss, first = facts.curve("train/loss"), first_loss(facts)
    carried = _carried_away(facts, loss, first)
    if carried is not None:
        return carried
    swing = _swing(loss.values, _width(facts))
    _, right = accuracy(facts)
    if swing is None or not math.isfinite(first) or right > SOLVED or swing.high < STILL_HIGH * abs(first):
        return None
    if swing.low <= 0 or swing.high < SWING * swing.low or swing.turns < LEAST_TURNS:
        return None
    if swing.deviation < TIMES_NOISE * swing.noise:
        return None
    step = int(loss.steps[swing.first_row])
    return Finding(
        "warning",
        f"Since step {step} the loss swings between {number(swing.low)} and {number(swing.high)} (means over some "
        f"batches; it began at {number(first)}) and makes no progress. That is far more than the batches differ: the "
        "updates overshoot.",
        first_step=step,
        last_step=int(loss.steps[-1]),
        evidence=known(low=swing.low, high=swing.high, first_loss=first, last_loss=progress(facts).now),
        remedies=(
            lower_rate(facts),
            Remedy("Less momentum, larger batches, or a rate that decays; shuffle the data."),
        ),
    )


def _carried_away(facts: Facts, loss: Curve, first: float) -> Finding | None:
    """With a momentum close to one: a loss that fell well below its first and has risen far from there again."""
    momentum = (facts.info.get("optimizer") or {}).get("momentum") or 0.0
    rows = len(loss) // BLOCKS_OF_A_RUN
    if not momentum > CLOSE_TO_ONE or rows < 5 or not np.isfinite(loss.values).all():
        return None
    means = np.array([part.mean() for part in np.array_split(loss.values, BLOCKS_OF_A_RUN)])
    best = int(np.argmin(means))
    if not 0 < means[best] < HAD_FALLEN * first or not means[best + 1 :].max(initial=0.0) > CARRIED * means[best]:
        return None
    highest = best + 1 + int(np.argmax(means[best + 1 :]))
    step = int(loss.steps[best * rows])
    return Finding(
        "warning",
        f"The loss had fallen from {number(first)} to {number(means[best])} about step {step}, and rose to "
        f"{number(means[highest])} again. With a momentum of {momentum:g} each gradient goes on moving the weights for "
        f"{number(1 / (1 - momentum))} steps: they are carried through the valley and up its other side.",
        first_step=step,
        last_step=int(loss.steps[-1]),
        evidence=known(low=means[best], high=means[highest], first_loss=first, momentum=momentum),
        remedies=(Remedy("A momentum of 0.9, or 0.99 with a rate ten times lower."), lower_rate(facts)),
    )


def _width(facts: Facts) -> int:
    return max(5, math.ceil(EXAMPLES_A_BLOCK / (facts.info.get("batch_size") or EXAMPLES_A_BLOCK)))


def _swing(values: np.ndarray, width: int) -> Swing | None:
    """The second half in blocks; None where it is too short, not finite, or still gets better."""
    whole = len(values) // (2 * width) * width
    if whole // width < LEAST_BLOCKS or not np.isfinite(values[-whole:]).all():
        return None
    blocks = values[-whole:].reshape(-1, width)
    means = blocks.mean(axis=1)
    quarters = [level(part) for part in np.array_split(means, 2)]
    chance = float(means.std()) / math.sqrt(len(means) / 2)  # of which so few swings may differ in their middles
    if quarters[1] < NO_PROGRESS * quarters[0] - chance:
        return None
    low, high = np.quantile(means, (0.1, 0.9))
    inside = float(np.median(blocks.std(axis=1, ddof=1))) / math.sqrt(width)
    return Swing(float(low), float(high), float(means.std()), inside, _turns(means), len(values) - whole)


def _turns(means: np.ndarray) -> float:
    """How often per block the curve crosses its own middle."""
    above = means > np.median(means)
    return float((above[1:] != above[:-1]).mean())


RULE = Rule(
    name="loss-oscillating",
    title="Loss swings without progress",
    group="updates",
    severities=("warning",),
    meaning="The loss goes up and down by a large part of its size, again and again, and gets nowhere: each step jumps "
    "across the valley instead of down into it.",
    causes="A learning rate near the limit, much momentum, batches that are not shuffled (each pulls its own way), a "
    "cyclic schedule whose peak is too high.",
    remedies="Lower the rate or let it decay; less momentum; shuffle; larger batches.",
    source='Lecture, "Monitor and visualize the loss curve" and "Batch GD vs Stochastic GD". Means over '
    f"{EXAMPLES_A_BLOCK} examples whose upper tenth is {SWING} × the lower, crossing their middle in "
    f"{LEAST_TURNS:.0%} of the blocks, {TIMES_NOISE:g} × the noise inside a block, without progress over the second "
    "half of the run.",
    judge=judge,
)
