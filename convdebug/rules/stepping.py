"""The optimizer does not step, or a gradient scaler keeps it from stepping."""

from typing import Any

import numpy as np

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

ENOUGH_BACKWARDS = 10
ENOUGH_IF_OVER = 3
UNUSED = 0.9  # of the backward passes
ENOUGH_UNUSED = 50
STEPS_IF_UNDER_WAY = 3
OTHERS_STEPPED = 20  # before an optimizer beside others is missed
SKIPPED = 0.1  # of the steps that the scaler was asked for
ENOUGH_ASKED = 20
CALIBRATION = 16  # a scaler that starts at 65536 may halve so often before it fits


def judge_steps(facts: Facts) -> Finding | None:
    """Backward passes and no optimizer step, though there is an optimizer and no scaler that skips them all."""
    counts = _counts(facts)
    if not counts or not _has_optimizer(facts) or facts.info.get("other_optimizer"):
        return None
    if counts["steps"] or counts["scaler_asked"]:
        return _steps_too_rarely(facts, counts) or _one_of_several(facts, counts)
    needed = ENOUGH_BACKWARDS if facts.run.status == "running" else ENOUGH_IF_OVER
    if counts["backwards"] < needed or _weights_move(facts):
        return None
    return Finding(
        "error",
        f"backward was called {counts['backwards']:.0f} times, but the optimizer never stepped: the weights are those "
        "of the start.",
        last_step=max(0, facts.run.steps - 1),
        evidence={"backwards": counts["backwards"], "steps": 0.0},
        remedies=(
            Remedy("Call optimizer.step() after backward (scheduler.step() moves only the learning rate)."),
            Remedy("With a gradient scaler: scaler.step(optimizer), then scaler.update()."),
        ),
    )


def _counts(facts: Facts) -> dict[str, float]:
    last = facts.events("loop")
    names = ("backwards", "steps", "scaler_asked", "scaler_skipped", "unused", "steps_after_unused")
    if last:
        return {name: float(last[-1].data.get(name, 0)) for name in names}
    curves = {name: facts.curve(f"loop/{name}").values for name in names}
    return (
        {name: float(values[-1]) if len(values) else 0.0 for name, values in curves.items()}
        if len(curves["steps"])
        else {}
    )


def _has_optimizer(facts: Facts) -> bool:
    told = [event.data.get("optimizers") for event in facts.events("loop")]
    return bool(facts.info.get("optimizer") or facts.info.get("optimizers") or any(told))


def _weights_move(facts: Facts) -> bool:
    return bool(np.nanmax(facts.table("update", "ratio").values, initial=0.0) > 0)


def _steps_too_rarely(facts: Facts, counts: dict[str, float]) -> Finding | None:
    """Nearly all gradients were zeroed before a step: it stands behind the loop over the batches."""
    passes, steps, unused = counts["backwards"], counts["steps"], counts["unused"]
    if unused < ENOUGH_UNUSED or unused < UNUSED * passes or counts["scaler_asked"] > steps:
        return None
    if counts["steps_after_unused"] < UNUSED * steps:  # gradients that were looked at before a training, or at times
        return None
    if facts.run.status == "running" and steps < STEPS_IF_UNDER_WAY:
        return None
    return Finding(
        "error",
        f"backward was called {passes:.0f} times, and the gradients of {unused:.0f} of these passes were zeroed before "
        f"any step: the optimizer stepped {steps:.0f} time{'s' if steps > 1 else ''} in all, each with the last batch "
        "alone.",
        last_step=max(0, facts.run.steps - 1),
        evidence={"backwards": passes, "steps": steps, "unused": unused},
        remedies=(
            Remedy("Move optimizer.step() into the loop over the batches, right after backward."),
            Remedy("If gradients are to be summed over batches: call zero_grad() after the step only."),
        ),
    )


def _one_of_several(facts: Facts, counts: dict[str, float]) -> Finding | None:
    """An optimizer that never stepped in a whole run, with parameters of its own that received gradients."""
    listed: list[dict[str, Any]] = next((event.data.get("optimizers", []) for event in facts.events("loop")), [])
    gradients = facts.table("gradient", "norm")
    for number, optimizer in enumerate(listed, 1):
        own = gradients.only(set(optimizer.get("own", [])))
        idle = optimizer["steps"] == 0 and counts["steps"] >= OTHERS_STEPPED
        if idle and own.names and np.nanmax(own.values, initial=0.0) > 0:
            return Finding(
                "warning",
                f"Optimizer {number} ({optimizer['name']}) never stepped in {facts.run.steps} steps, though its "
                f"parameters received gradients ({own.names[0]} and {len(own.names) - 1} more). The others stepped "
                f"{counts['steps']:.0f} times.",
                layer=own.names[0].rpartition(".")[0] or None,
                last_step=max(0, facts.run.steps - 1),
                evidence={"steps_of_others": counts["steps"], "parameters": float(len(own.names))},
                remedies=(Remedy("Call its step() too, or leave its parameters out of the loss if they are to rest."),),
            )
    return None


def judge_scaler(facts: Facts) -> Finding | None:
    """The share of steps that the scaler skipped, over the run without its first search for a scale, and lately."""
    asked, skipped = (facts.curve(f"loop/scaler_{what}") for what in ("asked", "skipped"))
    counts = _counts(facts)
    if not counts or counts["scaler_asked"] < ENOUGH_ASKED:
        return None
    searching = min(counts["scaler_skipped"], CALIBRATION)
    share = (counts["scaler_skipped"] - searching) / max(counts["scaler_asked"] - searching, 1.0)
    if share <= SKIPPED or _lately(asked.values, skipped.values, counts) <= SKIPPED:
        return None
    return Finding(
        "warning",
        f"The gradient scaler skipped {counts['scaler_skipped']:.0f} of {counts['scaler_asked']:.0f} steps: their "
        "gradients were not finite. A scaler that looks for its scale skips a few at the start; this one goes on.",
        last_step=max(0, facts.run.steps - 1),
        evidence={"skipped": counts["scaler_skipped"], "asked": counts["scaler_asked"], "share": share},
        remedies=(
            Remedy("Look where the first NaN or infinity comes from: an overflow in half precision, or the loss."),
            Remedy("Use bfloat16 where the device has it: its range is that of float32, and no scaler is needed."),
            Remedy("Compute the loss, norms and softmax in float32; raise the scaler's growth_interval."),
        ),
    )


def _lately(asked: np.ndarray, skipped: np.ndarray, counts: dict[str, float]) -> float:
    middle = len(asked) // 2
    if middle < 2:
        return 1.0
    return float((counts["scaler_skipped"] - skipped[middle]) / max(counts["scaler_asked"] - asked[middle], 1.0))


NOT_STEPPING = Rule(
    name="optimizer-not-stepping",
    title="The optimizer does not step",
    group="implementation",
    severities=("error", "warning"),
    meaning="Gradients are computed and never used: no optimizer step was made, so the weights stay what they were, or "
    "nearly all gradients were zeroed before a step. As a warning: one optimizer of several never stepped.",
    causes="optimizer.step() forgotten, behind a condition that is never true, or behind the loop over the batches; "
    "scheduler.step() called instead.",
    remedies="Call optimizer.step() after backward.",
    source=f"Counted: at least {ENOUGH_BACKWARDS} backward passes and no step, and no weight moved by hand or by "
    f"another optimizer. Or {UNUSED:.0%} of the passes, {ENOUGH_UNUSED} at least, zeroed before a step and followed by "
    f"another batch of a DataLoader, before {UNUSED:.0%} of the steps.",
    judge=judge_steps,
)

SKIPPED_STEPS = Rule(
    name="steps-skipped",
    title="The gradient scaler skips many steps",
    group="implementation",
    severities=("warning",),
    meaning="A GradScaler skips an optimizer step whose gradients are not finite. A few at the start are its search "
    "for a scale; a steady share is lost training, and a sign of overflow.",
    causes="Values beyond 65504 in half precision, a loss that is infinite or NaN on some batches, a scale that grows "
    "too often.",
    remedies="bfloat16; loss and norms in float32; find the batches whose loss is not finite.",
    source=f"More than {SKIPPED:.0%} of the steps, after up to {CALIBRATION} for the search for a scale.",
    judge=judge_scaler,
)
