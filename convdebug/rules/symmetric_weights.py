"""Units of a layer that are all alike, or all zero, and stay so."""

import numpy as np

from convdebug.rules.curves import column_level
from convdebug.rules.facts import Facts, Table
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, weights
from convdebug_sessions import Remedy

PERSISTENT_ROWS = 3
ALIKE = 1e-5  # relative deviation of the units from their mean
SIMILAR = 0.99  # share of the units of a layer that have a twin


def judge(facts: Facts) -> Finding | None:
    """Weights that stay exactly zero though the optimizer steps, or units that are copies of each other."""
    if not _optimizer_moves(facts):
        return None
    norms = facts.table("weight", "norm").only(weights(facts))
    zero = _always_zero(norms)
    tied = [name for name in zero if name in _tied(facts, norms, zero)]
    if tied:
        return _finding(facts, tied, norms, "are exactly zero and stay so: whatever comes in, nothing comes out")
    alike = [name for name in _copies(facts) if f"{name}.weight" not in zero]
    if not alike:
        return _began_alike(facts)
    return _finding(facts, alike, norms, "have units that are copies of each other and get the same gradient forever")


def _began_alike(facts: Facts) -> Finding | None:
    """Layers before the last whose units were all one at the first step; the layers around them broke the tie."""
    similarity = facts.table("unit", "similarity")
    if len(similarity) < 2 or similarity.steps[0] != 0 or not begins_at_the_start(facts):
        return None
    layers = [each["name"] for each in facts.info.get("layers") or []]
    shares = zip(similarity.names, similarity.values[0], similarity.values[-1], strict=True)
    alike = [name for name, first, now in shares if first == 1 and now < SIMILAR and name != _last(layers)]
    if not alike or not layers:
        return None
    return Finding(
        "info",
        f"All units of {_shown(alike)} began alike, as zero or as one constant, and only the random weights around "
        "them broke the tie. Until then nothing, or one value for all units, passed. Fine on a branch that a shortcut "
        "passes by; anywhere else random weights learn sooner.",
        layer=alike[0],
        layers=tuple(alike),
        evidence={"layers": float(len(alike))},
        remedies=(
            setting_remedy(facts, "Initialize with random weights: He for ReLU, Xavier for tanh.", model__init="he"),
        ),
    )


def _last(layers: list[str]) -> str:
    return layers[-1] if layers else ""


def _shown(layers: list[str] | tuple[str, ...]) -> str:
    return ", ".join(layers[:4]) + (", …" if len(layers) > 4 else "")


def _optimizer_moves(facts: Facts) -> bool:
    rate = facts.curve("train/lr").finite().values
    return not len(rate) or bool(rate.max() > 0)


def _always_zero(norms: Table) -> list[str]:
    if len(norms) < PERSISTENT_ROWS:
        return []
    zero = (norms.values == 0).all(axis=0)
    return [name for name, is_zero in zip(norms.names, zero, strict=True) if is_zero]


def _tied(facts: Facts, norms: Table, zero: list[str]) -> set[str]:
    """Weights of layers with several units that are given a gradient, of zero, while the training moves others.

    Zeros that are given none, or one that no update follows, stand still for another reason; a parameter of no such
    layer (a token, a table of places) may begin at zero as it likes. With every weight at zero nothing need move.
    """
    layers = facts.table("unit", "similarity").names
    known = {f"{layer}.weight" for layer in layers} or {name for name in zero if name.endswith("weight")}
    gradients, ratios = facts.table("gradient", "norm"), facts.table("update", "ratio")
    moves = bool(np.nanmax(ratios.values, initial=0.0) > 0) or known & set(norms.names) <= set(zero)
    given = np.nan_to_num(gradients.values, nan=0.0, posinf=1.0).max(axis=0, initial=0.0)
    none = {name for name, largest in zip(gradients.names, given, strict=True) if largest == 0}
    return known & none if moves else set()


def _copies(facts: Facts) -> list[str]:
    similarity = facts.table("unit", "similarity")
    if len(similarity) >= PERSISTENT_ROWS:
        lowest = column_level(similarity.values[-PERSISTENT_ROWS:])
        return [name for name, share in zip(similarity.names, lowest, strict=True) if share > SIMILAR]
    filters = facts.session.blobs("filters", facts.run.id)
    if len(filters) < 2 or not _identical(facts.session.read(filters[-1])):
        return []
    return [filters[-1].name]


def _identical(filters: np.ndarray | bytes) -> bool:
    if isinstance(filters, bytes) or len(filters) < 2:
        return False
    units = filters.reshape(len(filters), -1).astype(float)
    size = np.abs(units).max()
    return bool(size > 0 and np.abs(units - units.mean(axis=0)).max() < ALIKE * size)


def _finding(facts: Facts, names: list[str], norms: Table, what: str) -> Finding:
    layers = tuple(name.removesuffix(".weight") for name in names)
    return Finding(
        "error",
        f"The weights of {_shown(layers)} {what}. All units of such a layer compute and learn the same thing, so the "
        "layer is worth a single unit or none. Only random weights break the tie.",
        layer=layers[0],
        layers=layers,
        first_step=int(norms.steps[0]) if len(norms) else 0,
        last_step=int(norms.steps[-1]) if len(norms) else 0,
        evidence={"layers": float(len(layers))},
        remedies=(
            setting_remedy(facts, "Initialize with random weights: He for ReLU, Xavier for tanh.", model__init="he"),
            Remedy("Zero is fine for biases, and for the last layer alone."),
        ),
    )


RULE = Rule(
    name="symmetric-weights",
    title="Weights are symmetric",
    group="initialization",
    severities=("error", "info"),
    meaning="All units of a layer have the same weights (zero, or some constant). They put out the same, receive the "
    "same gradient and stay alike for ever. With all weights zero only the biases of the last layer learn.",
    causes="Weights initialized to zero or to a constant, a custom initialization that forgot the randomness.",
    remedies="Small random weights: Xavier or He. Biases may start at zero.",
    source='Lecture, "What happens when the weights are initialized to 0?". Norms exactly zero over all measured '
    "steps under gradients of zero while others move, or units identical to rounding; an info where all units of a "
    "layer before the last were alike at the first step only.",
    judge=judge,
)
