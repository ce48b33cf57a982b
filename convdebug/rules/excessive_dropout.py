"""So much is dropped that the network cannot learn."""

import math

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import progress, warming_up
from convdebug_sessions import Remedy

STRONG = 0.7
PRACTICALLY_ALL = 0.95  # dropped on no purpose that is known, unless the training goes well through it
GOES_WELL = 0.5  # of chance, the training loss
NEARLY_ALL = 0.9  # dropped: no network learns through that, with or without dropout at evaluation
ABOVE = 1.1  # the loss of a training batch with dropout against the same batch without
POOR = 0.6  # of chance, without dropout
LEAST_STEPS = 60
LEAST_ROWS = 5


def judge(facts: Facts) -> Finding | None:
    """Much is dropped, nothing is learned, and the same batches are judged better without; or hardly any is left."""
    shares = {name: share for name, share in (facts.info.get("dropout") or {}).items() if share > STRONG}
    now = progress(facts)
    if not shares or now.rows < LEAST_STEPS or warming_up(facts):
        return None
    worst = max(shares, key=lambda name: shares[name])
    if now.learned and not (shares[worst] >= PRACTICALLY_ALL and now.now > GOES_WELL * now.chance):
        return None
    trained, evaluated = _with_and_without(facts)
    better_without = _is_poor(evaluated, now.chance) and trained >= ABOVE * evaluated
    if not better_without and shares[worst] < NEARLY_ALL:
        return None
    compared = f", and {number(evaluated)} on the same batches without dropout" if better_without else ""
    return Finding(
        "warning",
        f"{worst} drops {shares[worst]:.0%} of its values. After {now.rows} steps the loss is {number(now.now)}"
        f"{compared}: too little gets through to learn from.",
        layer=worst,
        layers=tuple(shares),
        evidence=known(dropped=shares[worst], train_loss=now.now, evaluation_loss=evaluated),
        remedies=(
            setting_remedy(facts, "Drop half at most.", regularization__dropout=0.5),
            Remedy("Begin without dropout, see that it learns, then add as much as validation asks for."),
        ),
    )


def _with_and_without(facts: Facts) -> tuple[float, float]:
    """The late loss of training batches with dropout and without; NaN where they were seldom compared."""
    with_it, without = (facts.curve(f"dropout/{what}_loss").finite().values for what in ("training", "evaluation"))
    if len(with_it) < LEAST_ROWS or len(without) < LEAST_ROWS:
        return math.nan, math.nan
    late = slice(-max(LEAST_ROWS, len(with_it) // 4), None)
    return level(with_it[late]), level(without[late])


def _is_poor(evaluated: float, chance: float) -> bool:
    return not math.isfinite(chance) or evaluated > POOR * chance


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
    f"{STRONG:.0%} dropped in a layer, no progress, and a loss {ABOVE} × that of the same batch without dropout; from "
    f"{NEARLY_ALL:.0%} on no progress is enough.",
    judge=judge,
)
