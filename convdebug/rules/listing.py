"""The rules in order, their explanation for people and their table for `describe`."""

from typing import Any

from convdebug.errors import UserError, nearest
from convdebug.rules import (
    dead_relu,
    exploding_gradient,
    initial_loss_off,
    inputs,
    labels,
    learning_rate_too_high,
    learning_rate_too_low,
    loss_diverged,
    overfitting,
    saturated_units,
    vanishing_activations,
    vanishing_gradient,
)
from convdebug.rules.causes import CAUSES
from convdebug.rules.rule import Rule

RULES: list[Rule] = [
    inputs.NOT_FINITE,
    inputs.NOT_CENTERED,
    inputs.NOT_SCALED,
    labels.OUT_OF_RANGE,
    labels.IMBALANCED,
    initial_loss_off.RULE,
    vanishing_activations.RULE,
    learning_rate_too_low.RULE,
    learning_rate_too_high.RULE,
    loss_diverged.RULE,
    dead_relu.RULE,
    saturated_units.RULE,
    vanishing_gradient.RULE,
    exploding_gradient.RULE,
    overfitting.RULE,
]


def rule_named(name: str) -> Rule:
    """The rule of that name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    names = [rule.name for rule in RULES]
    if name not in names:
        raise UserError(f"no rule {name!r}{nearest(name, names)}")
    return RULES[names.index(name)]


def explain(name: str) -> str:
    """What the rule means, why it happens, what to try, where it comes from: the text of `convdebug explain`."""
    rule = rule_named(name)
    lines = [f"{rule.title} ({rule.name})", f"{rule.group}; {' or '.join(rule.severities)}"]
    sections = {
        "What it means": rule.meaning,
        "Why it happens": rule.causes,
        "What to try": rule.remedies,
        "What follows from it": ", ".join(CAUSES.get(name, ())),
        "Where it comes from": rule.source,
    }
    return "\n".join(lines + [f"\n{heading}\n  {text}" for heading, text in sections.items() if text])


def rules_table() -> list[dict[str, Any]]:
    """The rows of `describe --json`."""
    return [rule.as_json() for rule in RULES]
