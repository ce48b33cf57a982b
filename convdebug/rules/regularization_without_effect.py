"""Regularization that is asked for and does nothing, or the opposite."""

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy


def judge(facts: Facts) -> Finding | None:
    """The losses at rising strengths that the check `regularization-raises-loss` found."""
    events = facts.survey("regularization")
    if not events:
        return None
    data = events[-1].data
    rungs = data["rungs"]
    first, last = rungs[0], rungs[-1]
    if not data["rises"]:
        message = (
            f"The loss does not rise with {data['what']}: {number(float(first['loss']))} without it, "
            f"{number(float(last['loss']))} at {number(float(last['strength']))}."
        )
    elif not data["pulls"]:
        message = (
            f"With {data['what']} at {number(float(last['strength']))} nothing pulls at the weights: the penalty has "
            "no gradient, or the optimizer does not use its weight_decay."
        )
    else:
        return None
    return Finding(
        "warning",
        f"{message} What is meant to keep the weights small has no effect.",
        evidence={"without": float(first["loss"]), "strongest": float(last["loss"])},
        remedies=(
            Remedy("Add the penalty to the loss before backward, with a plus sign and without detach()."),
            Remedy("Give the decay to the group that holds the weights, not only to the biases."),
        ),
    )


RULE = Rule(
    name="regularization-without-effect",
    title="Regularization has no effect",
    group="implementation",
    severities=("warning",),
    meaning="The loss does not go up when the strength of the regularization does, or the optimizer's weight decay "
    "does not shrink the weights: what was set does not reach the training.",
    causes="A penalty that is computed and not added, detached or subtracted; a decay in a parameter group without "
    "weights; an optimizer of one's own that ignores its weight_decay.",
    remedies="Add the penalty to what backward is called on; put the weights into the group with the decay.",
    source="Lecture, “Double-check that the Loss is Reasonable”: crank up regularization, and the loss goes up, good.",
    judge=judge,
)
