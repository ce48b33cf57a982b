"""The activations grow with every layer."""

from convdebug.rules.curves import number
from convdebug.rules.depth import Profile, depth_text, hidden_path, initial, profile
from convdebug.rules.facts import Facts
from convdebug.rules.initial_loss_off import ERROR_ABOVE, begins_far_off
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import begins_at_the_start, progress
from convdebug_sessions import Remedy

GROWS = 1.8  # a layer; He with ReLU keeps 1.0, plain residual sums reach 1.41 a block
FAR = 50.0  # the last hidden layer's deviation against the first's
FAR_HOWEVER_DEEP = 1000.0  # the same, where many layers of less growth do it and nothing shows at the end
FAR_OFF, STILL_OFF = 1000.0, 10.0  # × the loss of always answering with the mean label
STRAIGHT = 0.9  # correlation of log deviation with depth


def judge(facts: Facts) -> Finding | None:
    """Look at the deviations of step 0; a network that learns all the same is left alone."""
    table = facts.table("activation", "std")
    found = profile(initial(table.only(set(hidden_path(facts)))))
    if not begins_at_the_start(facts) or not _grows(facts, found) or _learns(facts):
        return None
    return Finding(
        "error",
        f"The activations grow with depth: deviation {depth_text(found)}. The scores come out huge, the first loss "
        "with them, and the gradients grow the same way: the weights start too large.",
        layer=found.names[-1],
        layers=tuple(
            name for name, height in zip(found.names, found.values, strict=True) if height > 10 * found.values[0]
        ),
        first_step=int(table.steps[0]),
        last_step=int(table.steps[0]),
        evidence={"first": float(found.values[0]), "last": float(found.values[-1]), "factor_per_layer": found.factor},
        remedies=(
            setting_remedy(facts, "Initialize with He (ReLU) or Xavier (tanh) weights.", model__init="he"),
            Remedy("Normalize between the layers (batch norm)."),
        ),
    )


def _learns(facts: Facts) -> bool:
    """Whether the loss falls; of a regression that began far above what the mean label gives: whether it got there."""
    now = progress(facts)
    return now.learned and not (now.start > FAR_OFF * now.guess and now.now > STILL_OFF * now.guess)


def _grows(facts: Facts, found: Profile) -> bool:
    """Less growth a layer, as sums of many branches give it, explodes where the first loss shows what came of it."""
    far = FAR if found.factor > GROWS or begins_far_off(facts) else FAR_HOWEVER_DEEP
    return found.deep_enough and found.straightness > STRAIGHT and found.whole > far


RULE = Rule(
    name="exploding-activations",
    title="Activations explode with depth",
    group="initialization",
    severities=("error",),
    meaning="The standard deviation of the activations grows by the same factor from layer to layer, so that the "
    "scores and the first loss are huge and one step of any usual rate destroys the network.",
    causes="Weights that start too large for their fan-in, inputs that are not scaled together with such weights.",
    remedies="He weights for ReLU, Xavier for tanh, data-dependent initialization (LSUV), batch normalization.",
    source=f'Lecture, "Weight Initialization": the deviation should stay the same through depth. More than {GROWS} a '
    f"layer (or a first loss above {ERROR_ABOVE:g} × chance) and {number(FAR)} in all, or {number(FAR_HOWEVER_DEEP)} "
    "however deep, in a network that does not learn.",
    judge=judge,
)
