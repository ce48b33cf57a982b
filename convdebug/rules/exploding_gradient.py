"""The gradients grow toward the input, or far beyond what they were."""

import numpy as np

from convdebug.rules.curves import level, number, onset
from convdebug.rules.depth import Profile, depth_text, profile, recent
from convdebug.rules.facts import Facts, Table
from convdebug.rules.remedies import lower_rate, setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import progress, weight_gradients
from convdebug_sessions import Remedy

FIRST_TO_LAST = 1e3  # AutoTrainer's bound for vanishing, the other way round
GROWS = 2.0  # times a layer, from output to input
STRAIGHT = 0.75  # correlation of log norm with depth
TIMES_HISTORY = 1e3  # the whole gradient against its first rows
HISTORY_ROWS = 5
LARGE = 10.0  # times the last layer's: touched by it
PERSISTENT_ROWS = 3


def judge(facts: Facts) -> Finding | None:
    """Growth through depth at nearly all recent steps, or growth over time that stays; never where the loss is fine."""
    norms = weight_gradients(facts)
    if len(norms) < PERSISTENT_ROWS or progress(facts).learned:
        return None
    return _through_depth(facts, norms) or _over_time(facts, norms)


def _through_depth(facts: Facts, norms: Table) -> Finding | None:
    found = profile(recent(norms))
    if not found.deep_enough or 1 / max(found.factor, 1e-30) < GROWS or found.straightness > -STRAIGHT:
        return None
    last = found.values[-1]
    if found.values[0] < FIRST_TO_LAST * last:
        return None
    return Finding(
        "error",
        f"The gradients grow toward the input: norm {depth_text(found)}. No single learning rate fits all layers: the "
        "first are torn about before the last have moved.",
        layer=_layer(found.names[0]),
        layers=tuple(_layer(name) for name, norm in zip(found.names, found.values, strict=True) if norm > LARGE * last),
        first_step=int(norms.steps[0]),
        last_step=int(norms.steps[-1]),
        evidence=_evidence(found),
        remedies=(
            setting_remedy(facts, "Initialize with Xavier (tanh) or He (ReLU).", model__init="xavier"),
            Remedy("Clip the gradient norm, or add batch normalization."),
        ),
    )


def _evidence(found: Profile) -> dict[str, float]:
    return {"first": float(found.values[0]), "last": float(found.values[-1]), "factor_per_layer": found.factor}


def _over_time(facts: Facts, norms: Table) -> Finding | None:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.sqrt((norms.values.astype(float) ** 2).sum(axis=1))
        usual = level(whole[:HISTORY_ROWS]) if np.isfinite(whole[:HISTORY_ROWS]).sum() > 2 else float(whole[0])
        large = ~np.isfinite(whole) | (whole > TIMES_HISTORY * usual)
    row = onset(large, rows=PERSISTENT_ROWS)
    if row is None or row == 0 or np.isnan(whole[row]) or not np.isfinite(usual) or usual <= 0:
        return None
    step, worst = int(norms.steps[row]), _largest_column(norms, row)
    return Finding(
        "error",
        f"The gradient norm is {number(float(whole[row]))} at step {step}, it began at {number(usual)}; it is largest "
        f"in {worst}. Steps of this size destroy what was learned.",
        layer=_layer(worst),
        layers=(_layer(worst),),
        first_step=step,
        last_step=int(norms.steps[-1]),
        evidence={"norm": float(whole[row]), "usual": usual},
        remedies=(lower_rate(facts), Remedy("Clip the gradient norm to a few times its usual size.")),
    )


def _largest_column(norms: Table, row: int) -> str:
    values = norms.values[row]
    bad = np.flatnonzero(~np.isfinite(values))
    return norms.names[int(bad[-1])] if len(bad) else norms.names[int(np.argmax(values))]


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter


RULE = Rule(
    name="exploding-gradient",
    title="Gradients explode",
    group="activations and gradients",
    severities=("error",),
    meaning="The gradients grow by the same factor in every layer toward the input, or have grown over time far "
    "beyond what they were. Each step then overshoots in some layer.",
    causes="Weights that start too large, saturated units with large weights behind them, a learning rate that is too "
    "high, inputs that are not scaled, recurrence without clipping.",
    remedies="Xavier or He initialization; a lower rate; clipping of the gradient norm; batch normalization.",
    source='Lecture, "Weight Initialization" (1.0 · N(0, 1) in ten tanh layers: × 3.5 a layer toward the input). '
    f"First against last above {FIRST_TO_LAST:g}, or the whole above {TIMES_HISTORY:g} times its first rows and "
    "staying there, with no progress of the loss.",
    judge=judge,
)
