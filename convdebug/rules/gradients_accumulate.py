"""Gradients are never zeroed although the optimizer steps every time."""

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts, Table
from convdebug.rules.rule import Finding, Rule, known
from convdebug_sessions import Remedy

NEARLY_ALWAYS = 0.8  # of the steps that were judged
FEW = 3
OFTEN = 0.45  # zeroed every second step while the optimizer steps at each
MANY = 8
RECENT = 50


def judge(facts: Facts) -> Finding | None:
    """For each optimizer, the share of judged steps whose gradients still contained those of the step before.

    Where a further optimizer began to step the places of the others may have changed: each part is judged by itself.
    """
    carried = facts.table("optimizer", "carried")
    begun = [0, *(event.step or 0 for event in facts.events("optimizer"))]
    for first, last in reversed(list(zip(begun, [*begun[1:], None], strict=True))):
        rows = slice(*(None if step is None else int(np.searchsorted(carried.steps, step)) for step in (first, last)))
        found = _judge_part(facts, carried.rows(rows))
        if found is not None:
            return found
    return None


def _judge_part(facts: Facts, carried: Table) -> Finding | None:
    for column, index in enumerate(carried.names):
        good = np.isfinite(carried.values[:, column])
        steps, values = carried.steps[good][-RECENT:], carried.values[good, column][-RECENT:]
        share = float(values.mean()) if len(values) else 0.0
        if (len(values) >= FEW and share >= NEARLY_ALWAYS) or (len(values) >= MANY and share >= OFTEN):
            return _finding(facts, int(index), steps, values)
    return None


def _finding(facts: Facts, index: int, steps: np.ndarray, values: np.ndarray) -> Finding:
    names = facts.info.get("optimizers") or [(facts.info.get("optimizer") or {}).get("name", "the optimizer")]
    name = names[index] if index < len(names) else f"optimizer {index + 1}"
    carried, overlap = int(values.sum()), level(facts.curve("gradient/overlap").values[-RECENT:])
    alike = f" Successive gradients are alike to {number(overlap)} (1: the same)." if overlap > 0 else ""
    which = f"optimizer {index + 1}, {name}" if len(names) > 1 else name
    return Finding(
        "error",
        f"The gradients of {which} are not zeroed between its steps: at {carried} of {len(values)} steps looked at, "
        f"backward added to what the step before had left.{alike} Each step repeats all earlier ones, so the updates "
        "grow and point backward in time.",
        first_step=max(0, int(steps[np.flatnonzero(values)[0]]) - 1),
        last_step=int(steps[-1]),
        evidence=known(carried=carried / len(values), steps_looked_at=float(len(values)), overlap=overlap),
        remedies=(
            Remedy("Call optimizer.zero_grad() once for each optimizer step, before backward or after the step."),
            Remedy("If gradients are to be accumulated, step only after the last micro-batch and zero then."),
        ),
    )


RULE = Rule(
    name="gradients-accumulate",
    title="Gradients are not zeroed",
    group="implementation",
    severities=("error",),
    meaning="backward() adds to the gradients that are there. Where nobody zeroes them, each optimizer step uses the "
    "sum of all gradients since the start.",
    causes="zero_grad() forgotten, called on another optimizer or model, or once an epoch instead of once a step.",
    remedies="optimizer.zero_grad() before backward or after step. Deliberate accumulation is fine: it steps less "
    "often and zeroes at each step.",
    source="Told for each optimizer on its own, by the gradients that its last step left behind: "
    f"{NEARLY_ALWAYS:.0%} of the steps looked at ({OFTEN:.0%} of many).",
    judge=judge,
)
