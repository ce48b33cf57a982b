"""The loss has not moved since the start."""

import math

from convdebug.rules.curves import level, noise, number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import Progress, begins_at_the_start, progress, warming_up
from convdebug_sessions import Remedy

LEAST_STEPS = 200
LEAST_EXAMPLES = 6000  # seen by the network: small batches need more steps
FEWER = 0.5  # of these examples, in a run that has ended where guessing would have brought it
AT_CHANCE = 0.98  # of what guessing gives
SHARE_OF_PLAN = 0.1
MOVED = 0.01  # of the first loss
TIMES_NOISE = 3.0


def judge(facts: Facts) -> Finding | None:
    """No progress beyond the scatter from step to step, after enough of the planned steps."""
    loss, now = facts.curve("train/loss"), progress(facts)
    ended = facts.run.status != "running"
    needed = LEAST_STEPS if ended else max(LEAST_STEPS, SHARE_OF_PLAN * (facts.info.get("steps_planned") or 0))
    share = FEWER if ended and (now.at_guess or now.now > AT_CHANCE * now.chance) else 1.0
    if len(loss) * (facts.info.get("batch_size") or LEAST_EXAMPLES) < share * LEAST_EXAMPLES:
        return None
    if len(loss) < needed or not now.stuck or not math.isfinite(now.now) or not begins_at_the_start(facts):
        return None
    if facts.info.get("adversarial"):
        return None  # two models against each other: neither loss need fall
    if _fallen(loss.values, now) or warming_up(facts):
        return None
    return Finding(
        "warning" if now.at_guess else "error",
        f"The loss is {number(now.now)} after {len(loss)} steps, it began at {number(now.start)}: no "
        f"progress{_chance(now)}. {_meaning(now)}",
        first_step=int(loss.steps[0]),
        last_step=int(loss.steps[-1]),
        evidence=known(first_loss=now.start, last_loss=now.now, expected=now.guess if now.at_guess else now.chance),
        remedies=(
            Remedy("Try to overfit 20 examples; if that fails, the fault is in the model, the loss or the optimizer."),
            Remedy("If it succeeds, look at the learning rate, and whether labels still belong to their inputs."),
        ),
    )


def _fallen(values, now: Progress) -> bool:
    width = max(5, len(values) // 10)
    first, last = level(values[:width]), level(values[-width:])
    enough = max(MOVED * abs(first), TIMES_NOISE * noise(values) / math.sqrt(width))
    to_chance = first > now.chance and last > AT_CHANCE * now.chance
    return first - last > enough and not (now.start > now.chance or to_chance or now.at_guess)


def _meaning(now: Progress) -> str:
    if now.at_guess:
        return (
            "Something keeps the network from learning, or there is next to nothing in the inputs to tell the labels."
        )
    return "Something keeps the network from learning at all."


def _chance(now: Progress) -> str:
    if now.at_guess:
        return f" beyond what always answering with the mean label gives ({number(now.guess)})"
    return f", guessing gives {number(now.chance)}" if math.isfinite(now.chance) else ""


RULE = Rule(
    name="loss-not-decreasing",
    title="Loss does not decrease",
    group="updates",
    severities=("error", "warning"),
    meaning="Since the first step the loss has made no progress beyond its scatter. Whatever else is found in this "
    "run is probably the reason.",
    causes="A rate that is far too low or too high, vanishing gradients, dead units, labels that do not belong to the "
    "inputs, a loss that does not reach the parameters.",
    remedies="Overfit 20 examples; sweep the learning rate; compare the loss on real and on zeroed inputs.",
    source=f'Lecture, "Monitor and visualize the loss curve". Less than {MOVED:.0%} and {TIMES_NOISE:g} times the '
    f"scatter after {LEAST_STEPS} steps and {SHARE_OF_PLAN:.0%} of the plan; of a regression what always answering "
    "with the mean label gives, for a quarter of the run: a warning.",
    judge=judge,
)
