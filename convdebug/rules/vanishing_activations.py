"""The activations shrink with every layer, until nothing of the input is left."""

from convdebug.rules.curves import number
from convdebug.rules.depth import Profile, depth_text, hidden_path, initial, profile, recent
from convdebug.rules.facts import Facts, remembered
from convdebug.rules.learning_rate_too_high import has_high_rate
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, progress
from convdebug_sessions import Remedy

SHRINKS = 0.8  # a layer; Xavier with tanh loses 0.89 a layer and is healthy
NOTHING_LEFT = 1e-3  # of the first layer's deviation, however the loss does
LITTLE_LEFT = 0.1  # of the first layer's deviation: Xavier with ReLU reaches 0.04 after ten layers
DEEP = 8  # layers; in fewer, a factor of ten is survived
STRAIGHT = 0.9  # correlation of log deviation with depth


@remembered
def shrinking(facts: Facts) -> Profile | None:
    """The standard deviations through depth at the start, where they shrink geometrically."""
    spread = facts.table("activation", "std").only(set(hidden_path(facts)))
    found = profile(initial(spread))
    if not found.deep_enough or found.factor > SHRINKS or found.straightness > -STRAIGHT:
        return None
    return found if found.whole < LITTLE_LEFT else None


def judge(facts: Facts) -> Finding | None:
    """Look at the deviations of step 0, and whether they are still as small now."""
    found = shrinking(facts)
    if found is None or not begins_at_the_start(facts):
        return None
    severity = _severity(facts, found)
    steps = facts.table("activation", "std").steps
    return Finding(
        severity,
        f"The activations shrink with depth: deviation {depth_text(found)}. {_meaning(severity)}",
        layer=_first_lost(found),
        layers=_lost(found),
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        evidence={"first": float(found.values[0]), "last": float(found.values[-1]), "factor_per_layer": found.factor},
        remedies=_remedies(facts),
    )


def _severity(facts: Facts, found: Profile) -> str:
    spread = facts.table("activation", "std").only(set(found.names))
    still = profile(recent(spread)).whole < LITTLE_LEFT
    now = progress(facts)
    if now.learned or not still or has_high_rate(facts):
        return "info"
    deep = len(found.names) >= DEEP
    return "error" if found.whole < NOTHING_LEFT or (now.stuck and deep) else "info"


def _lost(found: Profile) -> tuple[str, ...]:
    small = found.values < LITTLE_LEFT * found.values[0]
    return tuple(name for name, lost in zip(found.names, small, strict=True) if lost)


def _first_lost(found: Profile) -> str | None:
    return next(iter(_lost(found)), None)


def _meaning(severity: str) -> str:
    if severity == "info":
        return "The network may learn all the same; a deeper one would not: the initialization does not fit."
    return "The last layers see nothing of the input, and the gradients vanish too: the weights start too small."


def _remedies(facts: Facts) -> tuple[Remedy, ...]:
    fitting = "he" if "relu" in str(facts.setting("model.activation") or "relu") else "xavier"
    return (
        setting_remedy(
            facts, f"Initialize with {fitting.capitalize()}, which keeps the variance.", model__init=fitting
        ),
        Remedy("Normalize between the layers (batch norm), which makes the scale of the weights matter less."),
    )


RULE = Rule(
    name="vanishing-activations",
    title="Activations vanish with depth",
    group="initialization",
    severities=("error", "info"),
    meaning="The standard deviation of the activations falls by the same factor from layer to layer. Deep down all "
    "examples look the same, the gradients are products with these small numbers, and nothing learns.",
    causes="Weights that start too small for their fan-in (0.01 · N(0, 1) in ten layers of 500), Xavier weights with "
    "ReLU (the variance halves in every layer), small slopes at the origin (sigmoid).",
    remedies="Xavier for tanh, He for ReLU, data-dependent initialization (LSUV), batch normalization.",
    source='Lecture, "Look at Some Activation Statistics": 0.213, 0.048, 0.011, … with 0.01 · randn, "All activations '
    f'become zero!". Less than {SHRINKS} a layer and below {LITTLE_LEFT} of the first (in eight or more layers, with '
    f"no progress), or below {number(NOTHING_LEFT)} of it.",
    judge=judge,
)
