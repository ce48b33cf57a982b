"""The learning rate is zero, or has decayed to nothing long before the end."""

import numpy as np

from convdebug.rules.curves import number, onset
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import accuracy, progress
from convdebug_sessions import Remedy

NOTHING = 1e-4  # of the largest rate so far
LEAST_STEPS = 20
SHARE_OF_PLAN = 0.1  # the last tenth of a planned decay may be as small as it likes
NEARLY_SOLVED = 0.9  # training accuracy
LOSS_IS_SMALL = 0.1  # of the first


def judge(facts: Facts) -> Finding | None:
    """Steps at a vanishing rate, counted from the end of the run, more than a tenth of the plan."""
    rate = facts.curve("train/lr").finite()
    row = _since(rate)
    if row is None or _nothing_left_to_learn(facts):
        return None
    idle, planned = len(rate) - row, facts.info.get("steps_planned") or len(rate)
    if idle < LEAST_STEPS or idle < SHARE_OF_PLAN * planned:
        return None
    return _finding(facts, rate, row)


def _since(rate: Curve) -> int | None:
    if not len(rate):
        return None
    reached = np.maximum.accumulate(rate.values)
    return onset((rate.values < NOTHING * reached) | (rate.values == 0), share=1.0)


def _nothing_left_to_learn(facts: Facts) -> bool:
    now = progress(facts)
    _, right = accuracy(facts)
    return now.now < LOSS_IS_SMALL * now.start or right > NEARLY_SOLVED


def _finding(facts: Facts, rate: Curve, row: int) -> Finding:
    step, largest = int(rate.steps[row]), float(rate.values.max())
    was = f"; it was {number(largest)}" if largest else " (it was never anything else)"
    return Finding(
        "error",
        f"The learning rate is {number(float(rate.values[row]))} since step {step}{was}. Nothing is learned any more, "
        f"while the loss is still {number(progress(facts).now)}.",
        first_step=step,
        last_step=int(rate.steps[-1]),
        evidence={"learning_rate": float(rate.values[-1]), "largest": largest},
        remedies=(
            Remedy("Let the schedule run over the whole training: compare its length with the number of steps."),
        ),
    )


RULE = Rule(
    name="learning-rate-zero",
    title="Learning rate is zero",
    group="updates",
    severities=("error",),
    meaning="The rate is zero, or less than a ten-thousandth of what it was, well before the end: the weights stand "
    "still.",
    causes="A schedule stepped every batch though its length is given in epochs, a decay factor applied too often, a "
    "warm-up that multiplies by zero, a rate lost in a wrong unit.",
    remedies="Step the schedule once per what it counts; compare its length with the run; look at the curve of the "
    "rate.",
    source=f'Lecture, "Annealing the Learning Rates". Below {NOTHING:g} of the largest so far for more than '
    f"{SHARE_OF_PLAN:.0%} of the planned steps, up to the end, with loss left to lose.",
    judge=judge,
)
