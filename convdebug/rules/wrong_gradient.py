"""Backward gives something else than the slope of the loss."""

from typing import Any

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

WRONG = 1e-2  # relative error where the loss is smooth (CS231n: above it the gradient is usually wrong)


def judge(facts: Facts) -> Finding | None:
    """Parameters of which the check `gradient-check` found entries wrong, in the order of the model."""
    events = facts.survey("gradient-check")
    parameters: list[dict[str, Any]] = list(events[-1].data.get("parameters") or []) if events else []
    wrong = [each for each in parameters if each.get("wrong")]
    if not wrong:
        return None
    worst = max(wrong, key=lambda each: float(each["error"]))
    analytic, numeric = float(worst["analytic"]), float(worst["numeric"])
    return Finding(
        "error",
        f"The gradient of {worst['name']} is {number(analytic)} by backward and {number(numeric)} by centred "
        f"differences (relative error {float(worst['error']):.2g}{_factor(analytic, numeric)}). {_where(parameters)}",
        layer=str(worst["name"]).rpartition(".")[0] or str(worst["name"]),
        layers=tuple(str(each["name"]) for each in wrong),
        evidence={
            "analytic": analytic,
            "numeric": numeric,
            "relative_error": float(worst["error"]),
            "parameters": float(len(wrong)),
        },
        remedies=(
            Remedy("Compare the backward of your own autograd function with its forward: a factor, a sign, a mask."),
            Remedy("Test that function alone with torch.autograd.gradcheck in float64."),
            Remedy("Look for values changed in place through .data or under no_grad between forward and backward."),
        ),
    )


def _factor(analytic: float, numeric: float) -> str:
    if numeric == 0 or analytic == 0:
        return ""
    return f", a factor of {number(analytic / numeric)}"


def _where(parameters: list[dict[str, Any]]) -> str:
    """Backward runs from the loss to the input: what is wrong lies just behind the last wrong parameter."""
    known = [each for each in parameters if each.get("compared")]
    wrong = [index for index, each in enumerate(known) if each.get("wrong")]
    last, behind = known[wrong[-1]]["name"], known[wrong[-1] + 1 :]
    if len(wrong) == 1 and (wrong[0] or behind):
        return f"All other parameters that were compared are right: look at how {last} itself is used."
    before = f"{len(wrong)} of {len(known)} parameters are wrong, the last of them {last}"
    if behind:
        return f"{before}; from {behind[0]['name']} on they are right, so the fault lies between these two."
    return f"{before}: the fault lies at the end of the network or in the loss."


RULE = Rule(
    name="wrong-gradient",
    title="The gradient is wrong",
    group="implementation",
    severities=("error",),
    meaning="What backward computes is not the slope of the loss: a small step along it does not change the loss as "
    "it promises. The network may still learn, but worse than it should, and in a direction that nobody chose.",
    causes="A custom autograd function whose backward does not belong to its forward (a forgotten factor, sign or "
    "mask), values overwritten through .data, a loss that is computed under no_grad in part.",
    remedies="Correct the backward, or write the forward with torch's own operations and let autograd derive it. "
    "torch.autograd.gradcheck tests one function alone.",
    source="CS231n notes, “Gradient checks”: centred "
    f"differences in double precision; relative error above {WRONG:g} is wrong unless the loss has a kink there. "
    "Kinks (ReLU, max pooling) are told apart by shorter steps and by the slopes of both sides.",
    judge=judge,
)
