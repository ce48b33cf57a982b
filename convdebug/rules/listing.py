"""The rules in order, their explanation for people and their table for `describe`."""

from typing import Any

from convdebug.errors import UserError, nearest
from convdebug.rules import (
    augmentation,
    batch_mixing,
    batch_norm_small_batch,
    clipping_always_active,
    constant_output,
    data_bound,
    dead_relu,
    determinism,
    device,
    examples,
    excessive_dropout,
    exploding_activations,
    exploding_gradient,
    gradients_accumulate,
    graph_kept_alive,
    held_twice,
    initial_loss_off,
    input_ignored,
    inputs,
    labels,
    labels_unrelated,
    learning_rate_too_high,
    learning_rate_too_low,
    learning_rate_zero,
    loss_diverged,
    loss_inputs,
    loss_not_decreasing,
    loss_oscillating,
    loss_plateau,
    loss_summed,
    modes,
    non_finite,
    overfitting,
    regularization_dominates,
    regularization_without_effect,
    saturated_units,
    standing,
    stepping,
    symmetric_weights,
    underfitting,
    unshuffled,
    validation_better,
    vanishing_activations,
    vanishing_gradient,
    wrong_gradient,
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
    unshuffled.RULE,
    examples.OVERLAP_RULE,
    examples.SPLITS_RULE,
    examples.COPIES_RULE,
    augmentation.RULE,
    labels_unrelated.RULE,
    determinism.RULE,
    gradients_accumulate.RULE,
    standing.MISSING,
    held_twice.RULE,
    standing.FROZEN,
    standing.NO_GRADIENT,
    loss_inputs.DOUBLE_SOFTMAX,
    loss_inputs.DOUBLE_SIGMOID,
    loss_inputs.LOGARITHMS,
    graph_kept_alive.RULE,
    batch_norm_small_batch.RULE,
    loss_summed.RULE,
    loss_inputs.BROADCAST,
    modes.WHILE_TRAINING,
    modes.WHILE_VALIDATING,
    stepping.NOT_STEPPING,
    stepping.SKIPPED_STEPS,
    batch_mixing.RULE,
    wrong_gradient.RULE,
    input_ignored.RULE,
    regularization_without_effect.RULE,
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
    loss_oscillating.RULE,
    loss_plateau.RULE,
    clipping_always_active.RULE,
    regularization_dominates.RULE,
    dead_relu.RULE,
    saturated_units.RULE,
    vanishing_gradient.RULE,
    exploding_gradient.RULE,
    constant_output.RULE,
    non_finite.ACTIVATION,
    non_finite.GRADIENT,
    overfitting.RULE,
    excessive_dropout.RULE,
    underfitting.RULE,
    validation_better.RULE,
    data_bound.RULE,
    device.SYNC,
    device.IDLE,
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
