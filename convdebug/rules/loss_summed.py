"""The loss is summed over the batch instead of averaged."""

import math
from typing import Any

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.learning_rate_too_high import has_high_rate
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import begins_at_the_start, chance_loss, first_loss
from convdebug_sessions import Remedy

NEAR = 1.5  # first loss against batch size × chance, either way
SMALL_BATCH = 8  # below, a summed loss cannot be told from a bad start
CLASS_LOSSES = ("cross_entropy", "nll_loss")
CONSEQUENCE = (
    "The loss is summed over the batch, so the gradients, and with them the steps, are that many times larger."
)
REMEDIES = (Remedy("Average the loss over the batch (reduction='mean'), or divide the rate by the batch size."),)


def judge(facts: Facts) -> Finding | None:
    """The first loss is about batch size × ln C, or the loss says itself that it sums and its steps overshoot."""
    batch, first = facts.info.get("batch_size"), first_loss(facts)
    if not batch or batch < SMALL_BATCH or not begins_at_the_start(facts):
        return None
    said, chance = said_reduction(facts), _guessing(facts)
    if math.isfinite(chance):
        near = 1 / NEAR < first / (batch * chance) < NEAR
        return _by_first_loss(batch, first, chance) if near and said != "mean" else None
    return _by_its_word(batch, first) if said == "sum" and _is_undivided(facts) and has_high_rate(facts) else None


def said_reduction(facts: Facts) -> str:
    """What the loss says of itself: "mean", "sum", or "own" where that is not known."""
    known = str((facts.info.get("loss") or {}).get("reduction", "own"))
    seen = _only_function(facts)
    return str(seen.get("reduction", known)) if known == "own" else known


def _only_function(facts: Facts) -> dict[str, Any]:
    """The loss function of torch that was called, where it was a single one."""
    seen = {event.data["call"]: event.data for event in facts.events("loss-seen") if "call" in event.data}
    return next(iter(seen.values())) if len(seen) == 1 else {}


def _is_undivided(facts: Facts) -> bool:
    """Whether the loop descends the sum as it is: one that it divides itself is a mean again."""
    total, function = facts.curve("train/loss"), facts.curve(f"loss/{_only_function(facts).get('name')}")
    return bool(len(total) and len(function)) and total.values[0] > function.values[0] / NEAR


def _guessing(facts: Facts) -> float:
    """What guessing gives for one example, also where a function of the user's own calls cross entropy."""
    chance, classes = chance_loss(facts), facts.info.get("num_classes")
    if math.isfinite(chance) or not classes or classes < 2:
        return chance
    return math.log(classes) if _only_function(facts).get("name") in CLASS_LOSSES else chance


def _by_first_loss(batch: int, first: float, chance: float) -> Finding:
    return Finding(
        "warning",
        f"The first loss is {number(first)}: about the batch size {batch} times {number(chance)}, what guessing gives "
        f"for one example. {CONSEQUENCE}",
        evidence={"first_loss": first, "expected": chance, "batch_size": float(batch)},
        remedies=REMEDIES,
    )


def _by_its_word(batch: int, first: float) -> Finding:
    return Finding(
        "warning",
        f"The loss function is told to sum (reduction='sum') over {batch} examples, and the updates overshoot. "
        f"{CONSEQUENCE}",
        evidence=known(first_loss=first, batch_size=float(batch)),
        remedies=REMEDIES,
    )


RULE = Rule(
    name="loss-summed-over-batch",
    title="Loss is summed over the batch",
    group="implementation",
    severities=("warning",),
    meaning="The loss is the sum over the examples. It works, but the learning rate now depends on the batch size, "
    "and the usual rates are far too high.",
    causes="reduction='sum', or an own loss that ends in sum().",
    remedies="Use the mean (reduction='mean'); or divide the learning rate by the batch size.",
    source="The first loss is within a factor of 1.5 of batch size × ln C; or the loss function is told to sum, and "
    "the updates overshoot.",
    judge=judge,
)
