"""The loss is summed over the batch instead of averaged."""

import math

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, chance_loss, first_loss
from convdebug_sessions import Remedy

NEAR = 1.5  # first loss against batch size × chance, either way
SMALL_BATCH = 8  # below, a summed loss cannot be told from a bad start


def judge(facts: Facts) -> Finding | None:
    """The first loss is about batch size × ln C, or the loss says itself that it sums."""
    batch, chance, first = facts.info.get("batch_size"), chance_loss(facts), first_loss(facts)
    if not batch or batch < SMALL_BATCH or not math.isfinite(chance) or not begins_at_the_start(facts):
        return None
    said = (facts.info.get("loss") or {}).get("reduction")
    near = 1 / NEAR < first / (batch * chance) < NEAR
    if not near or said == "mean":
        return None
    return Finding(
        "warning",
        f"The first loss is {number(first)}: about the batch size {batch} times {number(chance)}, what guessing gives "
        "for one example. The loss is summed over the batch, so the gradients, and with them the steps, are that many "
        "times larger.",
        evidence={"first_loss": first, "expected": chance, "batch_size": float(batch)},
        remedies=(Remedy("Average the loss over the batch (reduction='mean'), or divide the rate by the batch size."),),
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
    source="The first loss is within a factor of 1.5 of batch size × ln C.",
    judge=judge,
)
