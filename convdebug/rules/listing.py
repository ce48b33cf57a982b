"""The rules in order, their explanation for people and their table for `describe`."""

from typing import Any

from convdebug.errors import UserError, nearest
from convdebug.rules import (
    constant_output,
    data_bound,
    dead_relu,
    exploding_activations,
    exploding_gradient,
    initial_loss_off,
    inputs,
    labels,
    learning_rate_too_high,
    learning_rate_too_low,
    learning_rate_zero,
    loss_diverged,
    loss_not_decreasing,
    loss_summed,
    non_finite,
    overfitting,
    saturated_units,
    symmetric_weights,
    underfitting,
    vanishing_activations,
    vanishing_gradient,
)
from convdebug.rules.causes import CAUSES
from convdebug.rules.rule import Rule

RULES: list[Rule] = [
    inputs.NOT_FINITE,
    inputs.NOT_SCALED,
    inputs.NOT_CENTERED,
    non_finite.LABELS,
    labels.OUT_OF_RANGE,
    labels.IMBALANCED,
    loss_summed.RULE,
    initial_loss_off.RULE,
    symmetric_weights.RULE,
    vanishing_activations.RULE,
    exploding_activations.RULE,
    learning_rate_too_low.RULE,
    learning_rate_too_high.RULE,
    learning_rate_zero.RULE,
    non_finite.UPDATE,
    loss_diverged.RULE,
    loss_not_decreasing.RULE,
    dead_relu.RULE,
    saturated_units.RULE,
    vanishing_gradient.RULE,
    exploding_gradient.RULE,
    constant_output.RULE,
    non_finite.ACTIVATION,
    non_finite.GRADIENT,
    overfitting.RULE,
    underfitting.RULE,
    data_bound.RULE,
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
