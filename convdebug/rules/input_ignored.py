"""What the network says does not depend on what it sees."""

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

BETTER = 0.98  # of the loss on blank inputs, after up to 200 steps on 64 examples; healthy networks reach 0.9 soon
ENOUGH_STEPS = 40


def judge(facts: Facts) -> Finding | None:
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
    meaning="The network does no better with the real inputs than with blank ones: it learns how frequent the answers "
    "are, and nothing else.",
    causes="A constant or zero passed on instead of the input, activations that are all dead or all alike, an input "
    "scaled to nothing, inputs and labels that do not belong together.",
    remedies="Print the input just before the network and the deviation of every layer's output over a batch.",
    source="Karpathy, “A Recipe for Training Neural Networks”: input-independent baseline. Not below "
    f"{BETTER} of the loss with blank inputs after at least {ENOUGH_STEPS} steps on the same few examples, or the same "
    "output for all of them.",
    judge=judge,
)
