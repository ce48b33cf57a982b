"""The network answers the same whatever it sees."""

import numpy as np

from convdebug.rules.curves import onset
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import progress
from convdebug_sessions import Remedy

CONSTANT = 1e-3  # spread over the batch against the spread between the scores
PERSISTENT_ROWS = 6
LEAST_ROWS = 4  # where it has been so from the first one on


def judge(facts: Facts) -> Finding | None:
    """Compare how the scores vary over the batch with how they differ from one another."""
    spread, low, high = (facts.curve(f"output/{what}") for what in ("batch_std", "min", "max"))
    rows = min(len(spread), len(low), len(high))
    if rows < LEAST_ROWS or progress(facts).learned or (facts.info.get("batch_size") or 2) < 2:
        return None
    width = np.maximum(np.abs(high.values[:rows]), np.abs(low.values[:rows]))
    with np.errstate(invalid="ignore"):
        constant = spread.values[:rows] <= CONSTANT * width
    row = onset(constant, rows=LEAST_ROWS if constant.all() else PERSISTENT_ROWS)
    if row is None:
        return None
    first = int(spread.steps[row])
    return Finding(
        "error",
        f"The output is the same for every example since step {first}: over a batch it varies by "
        f"{spread.values[rows - 1]:.1e}, while its values reach {width[rows - 1]:.2g}. The network ignores its input.",
        first_step=first,
        last_step=int(spread.steps[-1]),
        evidence={"batch_std": float(spread.values[rows - 1]), "size": float(width[rows - 1])},
        remedies=(Remedy("Look for the layer where the signal is lost: dead units, zero or too small weights."),),
    )


RULE = Rule(
    name="constant-output",
    title="Output is constant",
    group="activations and gradients",
    severities=("error",),
    meaning="All examples of a batch get the same scores. The network can at best learn how frequent each class is.",
    causes="Dead ReLUs, activations that vanish through depth, all-zero weights, a learning rate that was too high "
    "once.",
    remedies="Follow the deviation of the activations through depth to where it becomes zero, and cure that layer.",
    source="Recipe for Training Neural Networks (input-independent baseline). Deviation over the batch below "
    f"{CONSTANT:g} of the scores' size at {PERSISTENT_ROWS} measured steps up to the end.",
    judge=judge,
)
