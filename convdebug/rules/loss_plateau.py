"""The loss has stood still for long, while training accuracy is still poor."""

import math

import numpy as np

from convdebug.rules.curves import level, noise, number
from convdebug.rules.facts import Facts
from convdebug.rules.labels_unrelated import chance_accuracy
from convdebug.rules.remedies import lower_rate
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import accuracy, progress, warming_up
from convdebug_sessions import Remedy

LEAST_STEPS = 400
LEAST_EXAMPLES = 16_000  # seen in the flat half
FLAT = 0.01  # of what is left of the loss
TIMES_NOISE = 3.0
POOR = 0.4  # of the way from chance to 1
RISING = 0.02  # of the training accuracy, over the flat half
BOUNDS = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Hardsigmoid": (0.0, 1.0)}
BEYOND = 0.25  # of what lies between its bounds: labels beyond by less are noise
LEAST_ROWS = 3
LATE_ROWS = 5
OUT_OF_REACH = 1.5  # × the loss of always answering with the mean label
STILL_LEARNING = 0.1  # the rate against its largest: below, a standstill is the schedule's


def judge(facts: Facts) -> Finding | None:
    """The second half of a run that learned something: flat beyond its noise, poor, at a rate that is not small."""
    loss, now = facts.curve("train/loss"), progress(facts)
    far = _beyond_its_activation(facts) or _out_of_reach(facts)
    if far is not None:
        return far
    half = len(loss) // 2
    batch = facts.info.get("batch_size") or LEAST_EXAMPLES
    if half < LEAST_STEPS / 2 or half * batch < LEAST_EXAMPLES or not now.learned or warming_up(facts):
        return None
    values = loss.values[half:]
    if not np.isfinite(values).all() or not _is_flat(values) or not _rate_is_up(facts):
        return None
    share = _share_learned(facts, half)
    if share is None or share > POOR:
        return None
    step, (_, right) = int(loss.steps[half]), accuracy(facts)
    return Finding(
        "warning",
        f"Since step {step} the loss stays at {number(level(values))} (it began at {number(now.start)}), and training "
        f"accuracy at {right:.2f}. The network learned a little and has stopped.",
        first_step=step,
        last_step=int(loss.steps[-1]),
        evidence={"loss": level(values), "first_loss": now.start, "train_accuracy": right},
        remedies=(
            lower_rate(facts, least=5.0),
            Remedy("A larger network, or less regularization: look whether validation is equally poor."),
            Remedy("Momentum or Adam get across flat regions faster than plain descent."),
        ),
    )


def _beyond_its_activation(facts: Facts) -> Finding | None:
    """A regression whose answers come from a function that cannot give what the labels are."""
    if facts.run.steps < LEAST_STEPS / 4 or progress(facts).guess != progress(facts).guess:
        return None
    for event in facts.events("loss-seen"):
        producer, call = str(event.data.get("producer")), str(event.data.get("call"))
        least, most = BOUNDS.get(producer, (-math.inf, math.inf))
        low, high = (facts.curve(f"loss-input/{call}/{what}").finite().values for what in ("label_min", "label_max"))
        if not math.isfinite(most) or len(low) < LEAST_ROWS or len(high) < LEAST_ROWS:
            continue
        room = BEYOND * (most - least)
        if level(low) < least - room or level(high) > most + room:
            return Finding(
                "warning",
                f"The outputs come from {producer}, which gives values between {least:g} and {most:g}, and the labels "
                f"of a batch run from {number(level(low))} to {number(level(high))}: no training gets there, and the "
                "closer it comes the less gradient passes.",
                first_step=event.step or 0,
                last_step=int(facts.curve("train/loss").steps[-1]),
                evidence={"lowest_label": level(low), "highest_label": level(high)},
                remedies=(
                    Remedy("Leave out the activation after the last layer: a regression needs none."),
                    Remedy("Or scale the labels into what it gives."),
                ),
            )
    return None


def _out_of_reach(facts: Facts) -> Finding | None:
    """A regression that stands far above what the mean label gives: its answers do not reach the labels."""
    loss, now = facts.curve("train/loss"), progress(facts)
    half = len(loss) // 2
    values = loss.values[half:]
    if half < LEAST_STEPS / 4 or not now.now > OUT_OF_REACH * now.guess or warming_up(facts):
        return None
    if not np.isfinite(values).all() or not _is_flat(values) or now.now > now.start or not _rate_is_up(facts):
        return None
    low, high = (level(facts.curve(f"output/{what}").finite().values[-LATE_ROWS:]) for what in ("min", "max"))
    least, most = _labels(facts)
    room = BEYOND * (most - least)
    if not (low > least + room or high < most - room):
        return None
    return Finding(
        "warning",
        f"Since step {int(loss.steps[half])} the loss stays at {number(now.now)}, and always answering with the mean "
        f"label would give {number(now.guess)}. The outputs lie between {number(low)} and {number(high)}, the "
        f"labels between {number(least)} and {number(most)}: they do not reach them.",
        first_step=int(loss.steps[half]),
        last_step=int(loss.steps[-1]),
        evidence={"loss": now.now, "guess": now.guess, "lowest": low, "highest": high},
        remedies=(
            Remedy("Leave out the activation after the last layer, or scale the labels into what it gives."),
            Remedy("Let the last layer have a bias; scale and center the labels."),
        ),
    )


def _labels(facts: Facts) -> tuple[float, float]:
    """The least and the largest label of the usual batch, of the first loss function; NaN where unknown."""
    tables = (facts.table("loss-input", what) for what in ("label_min", "label_max"))
    least, most = (level(table.values[:, 0]) if len(table) and table.names else math.nan for table in tables)
    return least, most


def _is_flat(values: np.ndarray) -> bool:
    thirds = [level(part) for part in np.array_split(values, 3)]
    slack = max(FLAT * abs(thirds[0]), TIMES_NOISE * noise(values) / math.sqrt(len(values) / 3))
    return abs(thirds[0] - thirds[2]) < slack and abs(thirds[1] - thirds[2]) < slack


def _rate_is_up(facts: Facts) -> bool:
    rate = facts.curve("train/lr").finite().values
    return not len(rate) or bool((rate[len(rate) // 2 :] >= STILL_LEARNING * rate.max()).all())


def _share_learned(facts: Facts, half: int) -> float | None:
    """How far training accuracy has come from chance towards 1; None where it is unknown or still rises."""
    right, chance = facts.curve("train/accuracy").finite(), chance_accuracy(facts)
    since = right.values[right.steps >= facts.curve("train/loss").steps[half]]
    if len(since) < 9 or not math.isfinite(chance):
        return None
    early, late = (float(part.mean()) for part in np.array_split(since, 2))
    return None if late > early + RISING else (late - chance) / (1 - chance)


RULE = Rule(
    name="loss-plateau",
    title="Loss stands still",
    group="updates",
    severities=("warning",),
    meaning="After a start that worked, the loss has not moved for half of the run, though most training examples are "
    "still answered wrongly and the learning rate has not been taken down.",
    causes="A rate too large to get further down, a network too small for the task, dead units, too much "
    "regularization, a flat region that plain descent crosses slowly.",
    remedies="Take the rate down and see whether the loss falls; else more capacity, less regularization, momentum.",
    source='Lecture, "Monitor and visualize the loss curve" and "Annealing the Learning Rates". The three thirds '
    f"of the second half within {FLAT:.0%} or {TIMES_NOISE:g} × their noise, training accuracy less than {POOR:.0%} of "
    f"the way from chance to 1, a rate above {STILL_LEARNING:.0%} of its largest; {LEAST_STEPS} steps at least.",
    judge=judge,
)
