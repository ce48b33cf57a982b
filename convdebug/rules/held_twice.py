"""The optimizer holds a parameter more than once."""

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

NAMED = 3


def judge(facts: Facts) -> Finding | None:
    """What the check `parameters` counted of this target: how often the optimizer holds each parameter."""
    events = facts.survey("parameters")
    fates = events[-1].data.get("parameters", []) if events else []
    twice = {each["name"]: int(each["held"]) for each in fates if each["held"] > 1}
    if not twice:
        return None
    names, most = list(twice), max(twice.values())
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return Finding(
        "warning",
        f"The optimizer holds {len(names)} of {len(fates)} parameters more than once ({shown}; up to {most} times) and "
        "moves them as often at every step: their rate is a multiple of what it says.",
        layer=names[0].rpartition(".")[0] or names[0],
        layers=tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in names)),
        first_step=0,
        last_step=max(0, facts.run.steps - 1),
        evidence={"parameters": float(len(names)), "times": float(most)},
        remedies=(
            Remedy("Give each parameter to the optimizer once; named_parameters() names shared ones once."),
            Remedy("Look for lists that are joined (backbone + model) and for weights that two layers share."),
        ),
    )


RULE = Rule(
    name="parameters-held-twice",
    title="Parameters are in the optimizer more than once",
    group="implementation",
    severities=("warning",),
    meaning="At each step the optimizer goes through its list; a parameter that stands there twice is moved twice with "
    "the same gradient, and its momentum is advanced twice. It learns at a multiple of the rate that was set.",
    causes="Lists of parameters that overlap (a backbone and the whole model), a weight shared by two layers whose "
    "parameters were joined by hand. torch only warns of duplicates within one group.",
    remedies="Build the list from model.parameters(), which gives each parameter once, or sort it out by identity.",
    source="Identity of parameters, counted over the optimizer's groups by the check `parameters`.",
    judge=judge,
)
