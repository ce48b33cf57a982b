"""What the network says does not depend on what it sees, or it sees nothing."""

import math

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.inputs import are_no_data
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

BETTER = 0.98  # of the loss on blank inputs, after up to 200 steps on 64 examples; healthy networks reach 0.9 soon
ENOUGH_STEPS = 40
ENOUGH_ROWS = 4  # measured batches of one and the same number


def judge(facts: Facts) -> Finding | None:
    """Inputs that are the same number everywhere; else what two short trainings came to."""
    return _judge_inputs(facts) or _judge_trainings(facts)


def _judge_inputs(facts: Facts) -> Finding | None:
    """Every number of every measured batch is the same one, and nothing else is given to the network."""
    low, high = facts.curve("input/min"), facts.curve("input/max")
    if len(low) < ENOUGH_ROWS or len(high) < ENOUGH_ROWS or are_no_data(facts) or not _is_all_there_is(facts):
        return None
    value = float(low.values[0])
    if not (math.isfinite(value) and (low.values == value).all() and (high.values == value).all()):
        return None
    return Finding(
        "error",
        f"Every input is {number(value)}, each number of each example in all {len(low)} measured batches: there is "
        "nothing to see in them. At best the network learns how frequent each answer is.",
        first_step=int(low.steps[0]),
        last_step=int(low.steps[-1]),
        evidence={"input": value, "batches": float(len(low)), "varies": 0.0},
        remedies=(
            Remedy("Print an example as it is read, and after each step of the preprocessing, until it is empty."),
            Remedy("Look for whole numbers divided by their range (//, or / before a cast), a mask or crop that leaves "
                   "nothing, a tensor made with zeros and never filled."),
        ),
    )  # fmt: skip


def _is_all_there_is(facts: Facts) -> bool:
    """Whether an example is more than one number, and the first layer with weights is given nothing else either."""
    shape = (facts.info.get("data") or {}).get("input_shape") or []
    several = any(size > 1 for size in shape)
    return several and (not facts.info.get("given_beside") or (facts.info.get("entrance") or {}).get("std") == 0)


def _judge_trainings(facts: Facts) -> Finding | None:
    """Two short trainings by the check `input-independence`, with the real inputs and with blank ones."""
    events = facts.survey("input-independence")
    if not events:
        return None
    data = events[-1].data
    real, blank, steps = float(data["real"]), float(data["blank"]), int(data["steps"])
    same_output = data.get("varies") is False
    as_good = steps >= ENOUGH_STEPS and not real < blank - (1 - BETTER) * abs(blank)
    if not same_output and not as_good:
        return None
    seen = (
        f"After {steps} steps the loss is {number(real)} with the real inputs and {number(blank)} with blank ones (it "
        f"began at {number(float(data['first']))})"
    )
    same = ", and all examples get the same output" if same_output else ""
    return Finding(
        "error",
        f"{seen}{same}: what the network says does not depend on what it sees.",
        first_step=0,
        last_step=steps - 1,
        evidence={"real": real, "blank": blank, "steps": float(steps), "varies": float(not same_output)},
        remedies=(
            Remedy("Look for an input that is overwritten, scaled to nothing, or replaced by a constant on its way."),
            Remedy("Follow the deviation of the activations through depth: where it is zero, the input is lost."),
            Remedy("Check that inputs and labels of an example belong together."),
        ),
    )


RULE = Rule(
    name="input-ignored",
    title="Inputs are ignored",
    group="implementation",
    severities=("error",),
    meaning="The network does no better with the real inputs than with blank ones, or the real ones are blank: it "
    "learns how frequent the answers are, and nothing else.",
    causes="A constant or zero passed on instead of the input, activations that are all dead or all alike, an input "
    "scaled to nothing or read as nothing, inputs and labels that do not belong together.",
    remedies="Print the input just before the network and the deviation of every layer's output over a batch.",
    source="Karpathy, “A Recipe for Training Neural Networks”: input-independent baseline. Not below "
    f"{BETTER} of the loss with blank inputs after at least {ENOUGH_STEPS} steps on the same few examples, or the same "
    "output for all of them. While training: the same number everywhere, exactly, in all measured batches "
    f"({ENOUGH_ROWS} at least).",
    judge=judge,
)
