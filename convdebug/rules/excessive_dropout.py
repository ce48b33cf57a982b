"""So much is dropped that the network cannot learn."""

import math

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import progress
from convdebug_sessions import Remedy

STRONG = 0.7
ABOVE = 1.1  # the loss of a training batch with dropout against the same batch without
POOR = 0.6  # of chance, without dropout
LEAST_STEPS = 60
LEAST_ROWS = 5


def judge(facts: Facts) -> Finding | None:
    """A large share dropped, no progress, and the same batches are judged better without dropout."""
    shares = {name: share for name, share in (facts.info.get("dropout") or {}).items() if share > STRONG}
    with_it, without = (facts.curve(f"dropout/{what}_loss").finite() for what in ("training", "evaluation"))
    now = progress(facts)
    if not shares or len(with_it) < LEAST_ROWS or len(without) < LEAST_ROWS or now.rows < LEAST_STEPS or now.learned:
        return None
    late = slice(-max(LEAST_ROWS, len(with_it) // 4), None)
    trained, evaluated = level(with_it.values[late]), level(without.values[late])
    poor = not math.isfinite(now.chance) or evaluated > POOR * now.chance
    if not poor or trained < ABOVE * evaluated:
        return None
    worst = max(shares, key=lambda name: shares[name])
    return Finding(
        "warning",
        f"{worst} drops {shares[worst]:.0%} of its values. After {now.rows} steps the loss is {number(trained)}, and "
        f"{number(evaluated)} on the same batches without dropout: too little gets through to learn from.",
        layer=worst,
        layers=tuple(shares),
        first_step=int(with_it.steps[0]),
        last_step=int(with_it.steps[-1]),
        evidence={"dropped": shares[worst], "train_loss": trained, "evaluation_loss": evaluated},
        remedies=(
            setting_remedy(facts, "Drop half at most.", regularization__dropout=0.5),
            Remedy("Begin without dropout, see that it learns, then add as much as validation asks for."),
        ),
    )


RULE = Rule(
    name="excessive-dropout",
    title="Too much dropout",
    group="generalisation",
    severities=("warning",),
    meaning="Dropout switches units off at random during training. When most of them are off, what is left cannot "
    "carry the signal, and the loss stays high on the training data themselves.",
    causes="The share to keep given where the share to drop is meant (0.9 for 0.1), dropout after every layer, dropout "
    "on a narrow layer or on the inputs.",
    remedies="0.5 at most in dense layers, 0.1 to 0.2 in convolutions; none until the network learns without.",
    source='Lecture, "Regularization": dropout, and "At test time …". More than '
    f"{STRONG:.0%} dropped in a layer, no progress, a loss {ABOVE} × that of the same batch without dropout.",
    judge=judge,
)
