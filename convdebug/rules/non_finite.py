"""The first NaN or infinity: which module and operator made it, going forward, going backward, or in the update."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.origin import (
    LARGE_WEIGHT,
    Origin,
    bad_text,
    code_text,
    first_origin,
    given_text,
    origins,
    rows_text,
)
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import begins_at_the_start
from convdebug_sessions import Remedy

RECOVERED_STEPS = 20  # steps with a finite loss since: the training went on

ADVICE: dict[str, tuple[str, str]] = {
    "sqrt": (
        "The root of a negative number is NaN, and at 0 its derivative is infinite.",
        "Take sqrt(x.clamp_min(0) + 1e-8): the small number belongs inside the root.",
    ),
    "rsqrt": ("One by the root of 0 is infinite.", "Add 1e-8 inside the root."),
    "log": (
        "The logarithm of 0 is minus infinity, that of a negative number NaN.",
        "Clamp what goes in (x.clamp_min(1e-8)), or use log_softmax, logsigmoid, log1p or a loss on scores.",
    ),
    "div": ("Something was divided by 0.", "Add a small number to the divisor, or clamp it away from 0."),
    "exp": (
        "exp overflows above 88 in float32 and above 11 in float16.",
        "Clamp what goes in, subtract the maximum first, or use softmax, logsumexp, softplus.",
    ),
    "softmax": (
        "A row in which every score is minus infinity (all positions masked) has no softmax: 0 / 0.",
        "Leave at least one position of each row unmasked, or write 0 into the rows that are masked altogether.",
    ),
    "pow": (
        "A power below 1 has an infinite derivative at 0; of a negative number a broken power is NaN.",
        "Clamp what goes in away from 0.",
    ),
    "norm": ("The norm has no derivative at 0.", "Add a small number inside the root of the norm."),
    "to_copy": (
        "The value does not fit the smaller type: float16 ends at 65504.",
        "Use bfloat16, scale the values down, or keep this operator in float32.",
    ),
    "std": (
        "The deviation of a single value is NaN, and at 0 its derivative is infinite.",
        "Use correction=0, batches of more than one example, and add 1e-5 to the deviation.",
    ),
    "acos": ("acos has an infinite derivative at -1 and 1.", "Clamp what goes in to (-1 + 1e-6, 1 - 1e-6)."),
}
ALIKE = {
    "log2": "log", "log10": "log", "log1p": "log", "xlogy": "log", "log_softmax": "softmax", "logsumexp": "softmax",
    "reciprocal": "div", "true_divide": "div", "divide": "div", "linalg_vector_norm": "norm", "var": "std",
    "std_mean": "std", "var_mean": "std", "asin": "acos", "expm1": "exp", "float_power": "pow",
}  # fmt: skip


def judge_activation(facts: Facts) -> Finding | None:
    """The engine replayed the step: this operator made a bad value of finite ones."""
    found = first_origin(facts, "forward", "weights")
    if found is not None and _from_the_start(facts, found):
        return _bad_from_the_start(found)
    found = first_origin(facts, "forward")
    if found is None or not found.operator:
        return None
    return _finding(facts, found, f"{found.where} made {bad_text(found.data.get('output') or {})} out of finite values")


def _from_the_start(facts: Facts, found: Origin) -> bool:
    """Weights that were no numbers before any update of this run."""
    return found.direction == "weights" and found.step == 0 and begins_at_the_start(facts)


def _bad_from_the_start(found: Origin) -> Finding:
    bad = found.data.get("parameters") or []
    listed = ", ".join(f"{each['name']}: {bad_text(each)}" for each in bad[:3]) + (", …" if len(bad) > 3 else "")
    module = found.data.get("module")
    message = f"Before any update the weights of {module or 'the network'} are no numbers ({listed}): what it puts out "
    text = "Look where these weights come from: their initialization, or the file they were loaded from."
    return _plain(found, message + "is none either, whatever it is given.", text)


def judge_gradient(facts: Facts) -> Finding | None:
    """The loss was finite; going back, this operator made a bad gradient of a finite one."""
    found = first_origin(facts, "backward")
    if found is None:
        return None
    if found.data.get("part") == "outside" and not found.operator:
        what = f"the {found.data.get('seen')} is not finite though the loss is; the producer was not seen"
    else:
        what = f"going back, {found.where} made {bad_text(found.data.get('output') or {})} out of a finite gradient"
    return _finding(facts, found, what)


def judge_labels(facts: Facts) -> Finding | None:
    """The model's output is finite, and what the loss compares it with is not."""
    found = first_origin(facts, "labels")
    if found is None:
        return None
    message = f"The labels of step {found.step} contain NaN or Inf{rows_text(found)}. The loss is no number from there."
    text = "Find these examples and drop or repair their labels; look for missing values and logarithms of 0 in them."
    return _plain(found, message, text)


def judge_update(facts: Facts) -> Finding | None:
    """Weights that were no numbers before a forward pass."""
    found = first_origin(facts, "update", "weights")
    if found is None or found is not origins(facts)[0] or _from_the_start(facts, found):
        return None
    names = [each["name"] for each in found.data.get("parameters") or []]
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    if found.direction == "update":
        why = (
            f"what {found.operator} keeps of its gradients is finite, so that the update itself made it: a division by "
            "an eps that is 0 (or too small for the type of the weights), or a step too large for it."
        )
    else:
        why = "the update before made it; how was not seen."
    message = f"Before the forward pass of step {found.step} weights were NaN or infinite ({listed}): {why}"
    text = "Keep the weights in float32 (mixed precision instead of .half()), with eps at its default or larger."
    return _plain(found, message, text)


def _plain(found: Origin, message: str, remedy: str) -> Finding:
    return Finding(
        "error",
        message,
        layer=found.data.get("module") or None,
        layers=tuple(filter(None, [found.data.get("module")])),
        first_step=found.step,
        last_step=found.step,
        evidence=_evidence(found),
        remedies=(Remedy(remedy),),
    )


def _finding(facts: Facts, found: Origin, what: str) -> Finding:
    why, remedy = _advice(found)
    module = found.data.get("module") or None
    operator = f" ({found.operator})" if found.operator else ""
    message = f"At step {found.step} {what}{operator}{rows_text(found)}.{given_text(found)}{_size(found)}"
    note = found.data.get("note")
    message += f" {why}" if why else ""
    message += code_text(found) + (f" ({note}.)" if note else "") + _caveats(found)
    return Finding(
        "warning" if _recovered(facts, found) else "error",
        message,
        layer=module,
        layers=(module,) if module else (),
        first_step=found.step,
        last_step=found.step,
        evidence=_evidence(found),
        remedies=(Remedy(remedy),),
    )


def _advice(found: Origin) -> tuple[str, str]:
    name = found.operator or ""
    stem = ALIKE.get(name, name.removeprefix("safe_"))
    if stem in ADVICE:
        return ADVICE[stem]
    where = found.data.get("code") or found.where
    return "", f"Look at {where}: keep what goes into it within the range in which it is defined."


def _size(found: Origin) -> str:
    if found.largest_weight < LARGE_WEIGHT:
        return ""
    return f" The weights reach {number(found.largest_weight)} by then: earlier updates were too large."


def _caveats(found: Origin) -> str:
    text = ""
    if found.data.get("inputs_changed"):
        text += " The inputs were changed in place after the forward pass, so the replay may differ from it."
    if found.data.get("compiled"):
        text += " The model is compiled; this is from a plain pass, and compiled code may round otherwise."
    return text


def _recovered(facts: Facts, found: Origin) -> bool:
    loss = facts.curve("train/loss")
    after = loss.values[loss.steps > found.step]
    return len(after) >= RECOVERED_STEPS and bool(np.isfinite(after[-RECOVERED_STEPS:]).all())


def _evidence(found: Origin) -> dict[str, float]:
    output: dict[str, Any] = found.data.get("output") or {}
    first: dict[str, Any] = next((each for each in found.inputs if "min" in each), {})
    take: Callable[[dict[str, Any], str], float] = lambda facts, key: float(facts.get(key, float("nan")))  # noqa: E731
    return known(
        nan=take(output, "nan"),
        infinite=take(output, "inf"),
        input_min=take(first, "min"),
        input_max=take(first, "max"),
        input_mean=take(first, "mean"),
        input_zeros=take(first, "zeros"),
        rows=float(found.data.get("row_count") or 0),
        largest_weight=found.largest_weight,
    )


SOURCE = (
    "The engine keeps what a step began with and replays it on weights that are still good, operator by operator; "
    "PyTorch's autograd.detect_anomaly asks the same of the backward pass, at every step."
)

ACTIVATION = Rule(
    name="non-finite-activation",
    title="A module made NaN or infinity",
    group="activations and gradients",
    severities=("error", "warning"),
    meaning="In the forward pass an operator was given numbers and put out NaN or infinity. All that is computed from "
    "it, the loss included, is lost. Named is the producer, not those that passed it on.",
    causes="A logarithm or root of 0 or less, a division by 0, exp or a power that overflows, a softmax over a row "
    "that is masked altogether, float16, the deviation of one value; weights that have grown huge, or that were no "
    "numbers from the start.",
    remedies="Guard that operator (clamp, eps inside the root or divisor), use the stable form of it (log_softmax, "
    "losses on scores, logsumexp), bfloat16 in place of float16; a lower rate where the weights have grown.",
    source=f"{SOURCE} A warning where the loss is finite again over the last {RECOVERED_STEPS} steps.",
    judge=judge_activation,
)

GRADIENT = Rule(
    name="non-finite-gradient",
    title="The backward pass made NaN or infinity",
    group="activations and gradients",
    severities=("error", "warning"),
    meaning="The loss was a number, but going back an operator made NaN or infinity of a finite gradient: the update "
    "then destroys the weights, and the loss of the next step is NaN.",
    causes="A derivative that is infinite where the operator was used: sqrt and norm at 0, log at 0 (also behind "
    "torch.where, whose other branch still sends 0 × infinity back), a power below 1 at 0, acos at 1, std of equal "
    "values.",
    remedies="Put a small number inside the root or logarithm; with torch.where guard the argument before the "
    "operator, not its result after it.",
    source=SOURCE,
    judge=judge_gradient,
)

LABELS = Rule(
    name="non-finite-labels",
    title="Labels contain NaN or Inf",
    group="data",
    severities=("error",),
    meaning="What the model's answer is compared with is not a number, so the loss is not one either.",
    causes="Missing values read as NaN, a target that was divided by a deviation of 0, the logarithm of a target of 0.",
    remedies="Drop or repair these examples, or leave them out of the loss with a mask (before the difference, not "
    "after it).",
    source="The model's output and weights were finite at that step, and the loss was not.",
    judge=judge_labels,
)

UPDATE = Rule(
    name="non-finite-update",
    title="An update made the weights NaN",
    group="updates",
    severities=("error",),
    meaning="The weights were NaN or infinite before the forward pass: the update before did it.",
    causes="Adam with eps=0, or with weights in float16, where an eps of 1e-8 is 0; a step that overflows; a bad "
    "gradient that was not seen.",
    remedies="Leave eps at its default, keep the weights in float32 and use mixed precision, lower the rate.",
    source="The averages that the optimizer keeps of its gradients were finite while the weights were not.",
    judge=judge_update,
)
