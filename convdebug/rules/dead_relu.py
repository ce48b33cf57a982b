"""Units whose ReLU is silent on every example and stays so."""

import numpy as np

from convdebug.rules.curves import level
from convdebug.rules.depth import rectified_layers
from convdebug.rules.facts import Facts, Table
from convdebug.rules.remedies import lower_rate, setting_remedy
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import progress
from convdebug_sessions import Remedy

MANY = 0.5  # of a layer's units; a healthy dropout network had 0.36
NEARLY_ALL = 0.9
PERSISTENT_ROWS = 3
PERSISTENT_ROWS_IF_SOME_LIVE = 30  # a narrow layer of a young network may have half of its units asleep
REMEMBERED_ROWS = 16  # a unit counts as dead once it was silent in so many measured batches (fewer at the start)
ALIVE_AGAIN = 0.8  # a single row below this share of the bound ends the onset


def judge(facts: Facts) -> Finding | None:
    """The share of silent units that held at all recent measured steps, the worst layer first."""
    dead = facts.table("unit", "dead").only(set(rectified_layers(facts)))
    if len(dead) < PERSISTENT_ROWS or not dead.names:
        return None
    nearly_all = _lasting(dead, PERSISTENT_ROWS)
    many = _lasting(dead, PERSISTENT_ROWS_IF_SOME_LIVE)
    lasting = np.where(nearly_all > NEARLY_ALL, nearly_all, many)
    ill = np.flatnonzero(lasting > MANY)
    return _finding(facts, dead, lasting, ill[np.argsort(-lasting[ill], kind="stable")]) if len(ill) else None


def _lasting(dead: Table, count: int) -> np.ndarray:
    """The lowest share `(layers)` of the last `count` rows (of a quarter of all, where that is more); 0 for fewer."""
    rows = dead.values[-max(count, min(PERSISTENT_ROWS_IF_SOME_LIVE, len(dead) // 4)) :]
    known = ~np.isnan(rows)
    lowest = np.where(known, rows, np.inf).min(axis=0)
    return np.where(known.sum(axis=0) >= count, lowest, 0.0)


def _finding(facts: Facts, dead: Table, lasting: np.ndarray, ill: np.ndarray) -> Finding:
    worst, share = dead.names[ill[0]], float(lasting[ill[0]])
    first = _since(dead, int(ill[0]))
    severity = "error" if share > NEARLY_ALL and not progress(facts).learned else "warning"
    more = f"; {len(ill)} layers are ill" if len(ill) > 1 else ""
    return Finding(
        severity,
        f"{share:.0%} of the units of {worst} are silent on every example since step {first}{more}. A ReLU that is "
        f"never positive gets no gradient and does not come back. {_usual_cause(first)}",
        layer=worst,
        layers=tuple(dead.names[index] for index in sorted(ill)),
        first_step=first,
        last_step=int(dead.steps[-1]),
        evidence=known(dead=share, layers=float(len(ill)), deviation_before=_deviation_before(facts, worst)),
        remedies=_remedies(facts, first),
    )


def _deviation_before(facts: Facts, layer: str) -> float:
    """The deviation of what the layer before it puts out: above 0, there was something to let through."""
    deviations = facts.table("activation", "std")
    place = deviations.names.index(layer) if layer in deviations.names else 0
    return level(deviations.values[:, place - 1]) if place else float("nan")


def _since(dead: Table, column: int) -> int:
    alive = np.flatnonzero(dead.values[:, column] < ALIVE_AGAIN * MANY)
    row = min(int(alive[-1]) + 1, len(dead) - 1) if len(alive) else 0
    return int(dead.steps[max(0, row - REMEMBERED_ROWS + 1)])


def _usual_cause(first: int) -> str:
    if first == 0:
        return "They were so from the start: look at the initial weights and biases and at the scale of the inputs."
    return "Usually a step that was too large pushed the biases down."


def _remedies(facts: Facts, first: int) -> tuple[Remedy, ...]:
    rate = lower_rate(facts)
    leaky = setting_remedy(
        facts, "Use leaky ReLU, which lets a little gradient through.", model__activation="leaky-relu"
    )
    weights = setting_remedy(facts, "Initialize with He weights and zero biases.", model__init="he")
    return (weights, leaky, rate) if first == 0 else (rate, leaky, Remedy("Warm the rate up over the first steps."))


RULE = Rule(
    name="dead-relu",
    title="Dead ReLUs",
    group="activations and gradients",
    severities=("error", "warning"),
    meaning="Units that put out zero on every example of the batch, step after step. Sparsity is healthy (a unit is "
    "silent on most examples); a dead unit is silent on all of them, receives no gradient and never comes back. The "
    "layer has become narrower than it looks.",
    causes="A learning rate that is too high (one large step makes the bias strongly negative), bad initial weights "
    "or biases, inputs that are not scaled.",
    remedies="Lower the rate or warm it up; He initialization; leaky ReLU, PReLU or ELU; batch normalization before "
    "the ReLU.",
    source='Lecture, "ReLU. An annoyance: dead in -region" and "Use ReLU. Be careful with your learning rates". '
    "Warning "
    f"above {MANY:.0%} of a layer's units, error above {NEARLY_ALL:.0%}, at every recent measured step (30 of "
    "them for the warning).",
    judge=judge,
)
