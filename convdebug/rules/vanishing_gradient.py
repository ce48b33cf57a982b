"""The gradients shrink toward the input, so that the first layers do not learn."""

from dataclasses import replace

import numpy as np

from convdebug.rules.curves import column_level
from convdebug.rules.depth import Profile, depth_text, normalized, profile, recent
from convdebug.rules.facts import Facts, Table
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import progress, weight_gradients
from convdebug_sessions import Remedy

FIRST_TO_LAST = 1e-3  # AutoTrainer's bounds are 1e-3 and 1e-4
FIRST_TO_LAST_AT_ONCE = 1e-5  # so little that no progress of the last layers excuses it
FALLS = 2.0  # times a layer, from output to input; less where many layers come to `FIRST_TO_LAST_AT_ONCE` by it
STRAIGHT = 0.75  # correlation of log norm with depth
PERSISTENT_ROWS = 5
PERSISTENT_SHARE = 0.9


def judge(facts: Facts) -> Finding | None:
    """Compare the norms of the first and the last layers' gradients over the recent steps."""
    now = progress(facts)
    if now.learned:
        return _cut_off(facts)
    for table in _candidates(facts):
        found = _falling(recent(table))
        if found is not None and (now.stuck or (_is_steep(found) and _is_lost(found))):
            return replace(_finding(table, found), remedies=_remedies(facts))
    return _cut_off(facts)


def _cut_off(facts: Facts) -> Finding | None:
    """The first layers' gradients were exactly 0 at every step while those behind them get theirs, learned or not.

    Rectifiers let something pass on some examples; what passes nothing on any is made of steps.
    """
    table = weight_gradients(facts)
    order = [name for layer in facts.info.get("layers") or [] for name in layer.get("parameters", ())]
    names = [name for name in order if name in table.names]
    if len(table) < PERSISTENT_ROWS or len(names) < 2:
        return None
    heights = {name: float(np.nan_to_num(table.values[:, table.names.index(name)], nan=1.0).max()) for name in names}
    cut = next((place for place, name in enumerate(names) if heights[name] > 0), 0)
    if not cut or not all(heights[name] > 0 for name in names[cut:]):
        return None
    layers = tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in names[:cut]))
    shown = ", ".join(layers[:3]) + (", …" if len(layers) > 3 else "")
    return Finding(
        "error",
        f"The gradient of {shown} was exactly 0 at each of {len(table)} measured steps, while the layers from "
        f"{names[cut].rpartition('.')[0] or names[cut]} on receive theirs: between them stands something with a "
        "derivative of 0, or their gradients are too small for their precision. The first layers stay as they were.",
        layer=layers[-1],
        layers=layers,
        first_step=int(table.steps[0]),
        last_step=int(table.steps[-1]),
        evidence={"first": 0.0, "last": heights[names[-1]]},
        remedies=(
            Remedy("Look for round, floor, sign, argmax, a comparison or a threshold behind these layers."),
            Remedy("Use a smooth function in its place, or pass the gradient straight through."),
        ),
    )


def _candidates(facts: Facts) -> list[Table]:
    """Weights, and biases where nothing normalizes: where activations vanish, only biases show how the error falls."""
    of_weights = weight_gradients(facts)
    if normalized(facts):
        return [of_weights]
    norms = facts.table("gradient", "norm")
    return [of_weights, norms.only({name for name in norms.names if name.endswith("bias")})]


def _falling(table: Table) -> Profile | None:
    alive = table.only(
        {name for name, height in zip(table.names, column_level(table.values), strict=True) if height > 0}
    )
    found = profile(alive)
    if len(table) < PERSISTENT_ROWS or not found.deep_enough:
        return None
    share = float((alive.values[:, 0] < FIRST_TO_LAST * alive.values[:, -1]).mean())
    geometric = (_is_steep(found) or _is_lost(found)) and found.straightness > STRAIGHT
    return found if geometric and share >= PERSISTENT_SHARE else None


def _is_steep(found: Profile) -> bool:
    return found.factor > FALLS


def _is_lost(found: Profile) -> bool:
    """However many layers it took."""
    return bool(found.values[0] < FIRST_TO_LAST_AT_ONCE * found.values[-1])


def _finding(table: Table, found: Profile) -> Finding:
    small = found.values < FIRST_TO_LAST * found.values[-1]
    layers = tuple(
        name.rpartition(".")[0] or name for name, is_small in zip(found.names, small, strict=True) if is_small
    )
    first = _since(table, found)
    return Finding(
        "error",
        f"The gradients vanish toward the input: norm {depth_text(found)}, since step {first}. The first layers "
        "receive next to nothing and stay as they were initialized.",
        layer=layers[0],
        layers=layers,
        first_step=first,
        last_step=int(table.steps[-1]),
        evidence={"first": float(found.values[0]), "last": float(found.values[-1]), "factor_per_layer": found.factor},
    )


def _since(table: Table, found: Profile) -> int:
    columns = table.only({found.names[0], found.names[-1]}).values
    healthy = np.flatnonzero(~(columns[:, 0] < FIRST_TO_LAST * columns[:, -1]))
    return int(table.steps[healthy[-1] + 1]) if len(healthy) else int(table.steps[0])


def _remedies(facts: Facts) -> tuple[Remedy, ...]:
    fitting = "he" if "relu" in str(facts.setting("model.activation")) else "xavier"
    return (
        setting_remedy(facts, "Use ReLU, which does not saturate.", model__activation="relu", model__init="he"),
        setting_remedy(facts, f"Initialize with {fitting.capitalize()}.", model__init=fitting),
        Remedy("Add batch normalization or residual connections."),
    )


RULE = Rule(
    name="vanishing-gradient",
    title="Gradients vanish toward the input",
    group="activations and gradients",
    severities=("error",),
    meaning="Going back from the loss, the gradient loses the same factor in every layer. The last layers learn on "
    "features that the first layers never improve.",
    causes="Saturated or small-slope activations (sigmoid: at most 1/4 a layer), weights that are too small, many "
    "layers without normalization or shortcuts.",
    remedies="ReLU with He weights, or tanh with Xavier weights; batch normalization; residual connections; fewer "
    "layers.",
    source='Lecture, "Sigmoid: saturated neurons kill the gradients" and "The gradients in the backward pass will '
    f'become zero!". First against last below {FIRST_TO_LAST:g} (AutoTrainer, ICSE 2021), falling more than {FALLS:g} '
    f"times a layer or to {FIRST_TO_LAST_AT_ONCE:g} in all, with no progress of the loss.",
    judge=judge,
)
