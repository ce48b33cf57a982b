"""Examples of a batch leak into each other."""

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule, known
from convdebug_sessions import Remedy

CLASS_LOSSES = ("cross_entropy", "nll_loss")
MIXED = 1e-4  # influence of the other examples against an example's own; rounding reaches 1e-6


def judge(facts: Facts) -> Finding | None:
    """What the last probe of the model in evaluation mode found."""
    events = facts.survey("batch-mixing")
    if not events:
        return _softmax_over_batch(facts)
    data, step = events[-1].data, events[-1].step or 0
    gradient, change = _number(data.get("gradient")), _number(data.get("change"))
    if not (gradient > MIXED or change > MIXED):
        return _softmax_over_batch(facts)
    module = str(data.get("module") or "")
    return Finding(
        "error",
        "The output of one example depends on the other examples of its batch, in evaluation mode: "
        f"{_seen(gradient, change)}.{_place(module)} "
        "Predictions then change with the company an example is in, and the loss rewards leaking.",
        layer=module or None,
        first_step=step,
        last_step=step,
        evidence=known(gradient_of_others=gradient, change_by_others=change),
        remedies=(
            Remedy("Look for softmax, mean, norm or cumsum over dim 0: the classes are dim 1 (dim=-1)."),
            Remedy("Look for view or reshape that moves the batch axis; use permute before it, or flatten(1)."),
            Remedy("Recurrent layers and transformers take the batch first only with batch_first=True."),
        ),
    )


def _softmax_over_batch(facts: Facts) -> Finding | None:
    """A loss of classes is given what a softmax made of a whole column, one number of each example."""
    for event in facts.events("loss-seen"):
        data = event.data
        shape = data.get("scores") or [0]
        if data.get("name") in CLASS_LOSSES and data.get("axis") == 0 and data.get("dimensions") == [2, 1]:
            if shape[0] < 2:
                continue
            operator = str(data.get("producer"))
            return Finding(
                "error",
                f"{data['name']} is given what {operator} made of the scores over dim 0, the batch: each class is "
                f"shared out among the {shape[0]} examples, and no example has probabilities of its own.",
                first_step=event.step or 0,
                evidence={"examples": float(shape[0])},
                remedies=(
                    Remedy("softmax(dim=1): the classes of one example lie along axis 1."),
                    Remedy("CrossEntropyLoss takes the raw scores and does the softmax itself."),
                ),
            )
    return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _seen(gradient: float, change: float) -> str:
    parts = []
    if change > MIXED:
        parts.append(f"other neighbours move it by {number(change)} of its size")
    if gradient > MIXED:
        parts.append(f"its gradient by their inputs is {number(gradient)} of the largest")
    return " and ".join(parts)


def _place(module: str) -> str:
    return f" It is first seen in the output of {module}." if module else ""


RULE = Rule(
    name="batch-mixing",
    title="Examples of a batch are mixed",
    group="implementation",
    severities=("error",),
    meaning="What the network says of one example depends on which others are in the same batch, although it is in "
    "evaluation mode, where batch norm uses its running statistics. Each example should be judged by itself.",
    causes="A softmax, a mean or a normalization over the batch axis, a view or reshape that mixes batch and features, "
    "a recurrent layer or transformer that takes the first axis for time.",
    remedies="Name the axes (dim=1 or -1), permute before reshape, flatten(1), batch_first=True.",
    source="Karpathy, “A Recipe for Training Neural Networks”: use backprop to chart dependencies. Influence of the "
    f"others above {MIXED:g} of an example's own, by gradient or by exchanging them.",
    judge=judge,
)
