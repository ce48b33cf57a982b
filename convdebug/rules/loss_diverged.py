"""The loss is NaN, infinite, or far above where it began, and stays there."""

import math

import numpy as np

from convdebug.rules.curves import number, onset
from convdebug.rules.facts import Curve, Facts, remembered
from convdebug.rules.origin import origin_at
from convdebug.rules.remedies import lower_rate
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, chance_loss, first_loss, is_reward, maximizes
from convdebug_sessions import Remedy

TIMES_FIRST = 3.0  # lecture: "if the cost is ever > 3 * original cost, break out early"
TIMES_FIRST_AT_ONCE = 100.0  # so far up that no healthy spike comes from there
PERSISTENT_STEPS = 20
SHARE_OF_STEPS = 0.8
USUALLY = "NaN almost always means a learning rate that is too high; look for the cause above all there."
AT_ONCE = "No update came before it, so the learning rate is not to blame."
BY_LOSS = "The model's output was finite at that step: look at the loss, and at what it was given beside the output."


@remembered
def divergence(facts: Facts) -> int | None:
    """The row of `train/loss` from which on the loss is lost, to the end of the run; None while it is not."""
    at_least = 1 if facts.run.status != "running" else 2
    if is_reward(facts):
        return None
    return onset_of_divergence(facts.curve("train/loss"), first_loss(facts), chance_loss(facts), at_least)


def onset_of_divergence(loss: Curve, first: float, chance: float, at_least: int = 2) -> int | None:
    """The first row from which on the loss is non-finite or above 3 × where it began, up to the end."""
    reference = max(abs(first), chance if math.isfinite(chance) else 0.0) if math.isfinite(first) else math.inf
    bad = ~np.isfinite(loss.values)
    with np.errstate(invalid="ignore"):
        far = bad | (loss.values > TIMES_FIRST_AT_ONCE * reference)
        above = bad | (loss.values > TIMES_FIRST * reference)
    found = [
        onset(bad, SHARE_OF_STEPS),
        onset(far, SHARE_OF_STEPS, at_least),
        onset(above, SHARE_OF_STEPS, PERSISTENT_STEPS),
    ]
    rows = [row for row in found if row is not None]
    return min(rows) if rows else None


def judge(facts: Facts) -> Finding | None:
    """Say since when the loss is lost and where it began."""
    row = divergence(facts)
    if row is None:
        return None
    loss, first = facts.curve("train/loss"), first_loss(facts)
    step, value = int(loss.steps[row]), float(loss.values[row])
    finite = loss.values[np.isfinite(loss.values)]
    highest = float(finite.max()) if len(finite) else float("nan")
    if _climbs_as_told(facts, finite, first):
        return _climbing(loss, step, first, value)
    found = origin_at(facts, step)
    made_by_loss = found is not None and found.of_loss and found.direction in ("forward", "unknown")
    return Finding(
        "error",
        f"The loss is {number(value)} at step {step}{_beginning(step, first)}, and it does not come "
        f"back{_now(loss, row)}. {BY_LOSS if made_by_loss else _blame(facts, step)}",
        first_step=step,
        last_step=int(loss.steps[-1]),
        evidence={"first_loss": first, "loss": value, "last_loss": float(loss.values[-1]), "highest": highest},
        remedies=_remedies(facts, step),
    )


def _blame(facts: Facts, step: int) -> str:
    return AT_ONCE if step == 0 and begins_at_the_start(facts) else USUALLY


@remembered
def climbs_on_purpose(facts: Facts) -> bool:
    """Whether the optimizer was told to maximize a loss function of torch, which one minimizes."""
    return maximizes(facts) and not is_reward(facts)


def _climbs_as_told(facts: Facts, finite: np.ndarray, first: float) -> bool:
    return climbs_on_purpose(facts) and len(finite) > 0 and bool(finite[-1] > first)


def _climbing(loss: Curve, step: int, first: float, value: float) -> Finding:
    return Finding(
        "error",
        f"The loss is {number(value)} at step {step}{_beginning(step, first)}: the optimizer was made with "
        "maximize=True, so that each step climbs instead of descending.",
        first_step=step,
        last_step=int(loss.steps[-1]),
        evidence={"first_loss": first, "loss": value},
        remedies=(Remedy("Leave out maximize=True, or give backward() the negative of the loss."),),
    )


def _beginning(step: int, first: float) -> str:
    return f"; it began at {number(first)}" if math.isfinite(first) and step > 0 else " already"


def _now(loss: Curve, row: int) -> str:
    last = float(loss.values[-1])
    return f" (now {number(last)})" if row < len(loss) - 1 else ""


def _remedies(facts: Facts, step: int) -> tuple[Remedy, ...]:
    if step == 0:
        return (
            Remedy("The loss is lost before any update: look at the inputs, the initial weights and the loss itself."),
        )
    return (lower_rate(facts), Remedy(f"Look at the inputs and the gradients just before step {step}."))


RULE = Rule(
    name="loss-diverged",
    title="Loss diverged",
    group="updates",
    severities=("error",),
    meaning="The loss became NaN or infinite, or rose above three times its first value and stayed there. From here "
    "on the run learns nothing.",
    causes="Almost always a learning rate that is too high. Else: inputs with NaN or Inf, a division by zero or "
    "logarithm of zero in the model or loss, exploding activations or gradients, half precision overflow.",
    remedies="Lower the learning rate tenfold; clip the gradients; check the inputs for non-finite values; start "
    "again from a checkpoint before the first bad step.",
    source='Lecture, "Okay now lets try learning rate 1e6": "cost: NaN almost always means high learning rate", and '
    f'"if the cost is ever > {TIMES_FIRST:g} * original cost, break out early". Persistent over {PERSISTENT_STEPS} '
    "steps unless it is non-finite.",
    judge=judge,
)
