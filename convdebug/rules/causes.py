"""What causes what, and the order that follows from it: roots first, each followed by its consequences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from convdebug.rules.rule import GROUPS, SEVERITIES, worst
from convdebug_sessions import Diagnosis

CAUSES: dict[str, tuple[str, ...]] = {
    "non-finite-inputs": (
        "non-finite-activation",
        "non-finite-gradient",
        "non-finite-update",
        "loss-diverged",
        "exploding-gradient",
        "constant-output",
        "steps-skipped",
    ),
    "non-finite-labels": ("non-finite-gradient", "loss-diverged", "exploding-gradient"),
    "label-out-of-range": (
        "initial-loss-off",
        "learning-rate-too-high",
        "exploding-gradient",
        "loss-diverged",
        "validation-better-than-train",
    ),
    "splits-differ-in-scale": (
        "inputs-not-scaled",
        "inputs-not-centered",
        "overfitting",
        "labels-unrelated-to-inputs",
    ),
    "inputs-not-scaled": (
        "initial-loss-off",
        "learning-rate-too-high",
        "exploding-activations",
        "exploding-gradient",
        "dead-relu",
        "saturated-units",
        "vanishing-gradient",
        "constant-output",
        "vanishing-activations",
        "loss-not-decreasing",
        "loss-plateau",
    ),
    "inputs-not-centered": (
        "learning-rate-too-high",
        "exploding-gradient",
        "loss-diverged",
        "non-finite-activation",
        "non-finite-gradient",
    ),
    "loss-summed-over-batch": (
        "initial-loss-off",
        "learning-rate-too-high",
        "exploding-gradient",
        "loss-diverged",
        "loss-not-decreasing",
        "loss-plateau",
        "loss-oscillating",
    ),
    "loss-expects-log-probabilities": (
        "initial-loss-off",
        "loss-not-decreasing",
        "loss-plateau",
        "learning-rate-too-high",
        "exploding-gradient",
        "exploding-activations",
        "loss-diverged",
        "saturated-units",
        "dead-relu",
        "constant-output",
        "frozen-parameters",
    ),
    "double-softmax": ("learning-rate-too-low", "loss-not-decreasing", "loss-plateau", "underfitting"),
    "double-sigmoid": ("learning-rate-too-low", "loss-not-decreasing", "loss-plateau", "underfitting"),
    "loss-shape-broadcast": (
        "constant-output",
        "learning-rate-too-high",
        "loss-not-decreasing",
        "loss-plateau",
        "underfitting",
    ),
    "unshuffled-batches": (
        "initial-loss-off",
        "loss-oscillating",
        "dead-relu",
        "learning-rate-too-high",
        "constant-output",
        "loss-not-decreasing",
        "loss-diverged",
    ),
    "class-imbalance": ("overfitting", "labels-unrelated-to-inputs"),
    "labels-unrelated-to-inputs": ("overfitting",),
    "parameters-not-in-optimizer": (
        "gradients-accumulate",
        "frozen-parameters",
        "exploding-gradient",
        "loss-not-decreasing",
        "loss-plateau",
        "underfitting",
    ),
    "parameters-held-twice": ("learning-rate-too-high", "loss-oscillating"),
    "gradients-accumulate": (
        "learning-rate-too-high",
        "loss-diverged",
        "loss-oscillating",
        "exploding-gradient",
        "dead-relu",
        "saturated-units",
        "constant-output",
        "loss-not-decreasing",
        "non-finite-gradient",
        "non-finite-activation",
    ),
    "optimizer-not-stepping": (
        "frozen-parameters",
        "input-ignored",
        "learning-rate-too-low",
        "constant-output",
        "loss-not-decreasing",
        "loss-plateau",
        "underfitting",
    ),
    "steps-skipped": ("loss-not-decreasing", "loss-plateau", "underfitting"),
    "no-gradient": (
        "frozen-parameters",
        "input-ignored",
        "loss-not-decreasing",
        "loss-plateau",
        "underfitting",
        "constant-output",
    ),
    "eval-mode-while-training": ("exploding-activations", "exploding-gradient", "overfitting"),
    "train-mode-while-validating": ("overfitting",),
    "symmetric-weights": (
        "learning-rate-too-high",
        "constant-output",
        "dead-relu",
        "vanishing-gradient",
        "frozen-parameters",
        "input-ignored",
        "loss-not-decreasing",
        "loss-plateau",
    ),
    "input-ignored": (
        "constant-output",
        "dead-relu",
        "vanishing-gradient",
        "frozen-parameters",
        "loss-not-decreasing",
        "loss-plateau",
    ),
    "wrong-gradient": ("loss-not-decreasing", "loss-plateau", "loss-diverged"),
    "batch-mixing": ("constant-output", "initial-loss-off", "loss-not-decreasing", "loss-plateau"),
    "exploding-activations": (
        "initial-loss-off",
        "exploding-gradient",
        "learning-rate-too-high",
        "saturated-units",
        "non-finite-activation",
        "loss-diverged",
    ),
    "vanishing-activations": (
        "input-ignored",
        "vanishing-gradient",
        "vanishing-gradient",
        "frozen-parameters",
        "constant-output",
        "loss-not-decreasing",
        "loss-plateau",
    ),
    "learning-rate-too-high": (
        "exploding-gradient",
        "dead-relu",
        "saturated-units",
        "constant-output",
        "loss-diverged",
        "loss-oscillating",
        "loss-not-decreasing",
        "loss-plateau",
        "non-finite-gradient",
        "non-finite-activation",
        "non-finite-update",
        "vanishing-gradient",
        "frozen-parameters",
    ),
    "saturated-units": (
        "initial-loss-off",
        "frozen-parameters",
        "vanishing-gradient",
        "exploding-gradient",
        "loss-not-decreasing",
        "loss-plateau",
    ),
    "vanishing-gradient": ("frozen-parameters", "constant-output", "loss-not-decreasing", "loss-plateau"),
    "exploding-gradient": ("loss-diverged", "loss-oscillating", "non-finite-gradient"),
    "dead-relu": ("frozen-parameters", "constant-output", "loss-not-decreasing", "loss-plateau"),
    "regularization-dominates": (
        "loss-not-decreasing",
        "constant-output",
        "loss-plateau",
        "learning-rate-too-high",
        "vanishing-activations",
        "vanishing-gradient",
        "underfitting",
    ),
    "learning-rate-zero": ("frozen-parameters", "loss-not-decreasing", "constant-output", "loss-plateau"),
    "learning-rate-too-low": ("frozen-parameters", "loss-not-decreasing", "constant-output", "loss-plateau"),
    "excessive-dropout": (
        "initial-loss-off",
        "learning-rate-too-high",
        "loss-not-decreasing",
        "loss-plateau",
        "underfitting",
    ),
    "underfitting": ("loss-not-decreasing", "loss-plateau"),
    "train-val-overlap": ("validation-better-than-train",),
    "non-finite-activation": ("non-finite-gradient", "loss-diverged"),
    "non-finite-gradient": ("constant-output", "loss-diverged", "steps-skipped"),
    "non-finite-update": ("loss-diverged",),
    "constant-output": ("initial-loss-off", "frozen-parameters", "loss-not-decreasing", "loss-plateau"),
    "frozen-parameters": ("loss-not-decreasing", "loss-plateau"),
    "loss-plateau": ("loss-not-decreasing",),
    "loss-oscillating": ("loss-not-decreasing",),
    "initial-loss-off": ("loss-not-decreasing",),
}

RULED_OUT_BY: dict[str, tuple[str, ...]] = {
    "learning-rate-too-low": (
        "symmetric-weights",
        "vanishing-activations",
        "vanishing-gradient",
        "learning-rate-zero",
        "dead-relu",
        "saturated-units",
        "learning-rate-too-high",
        "loss-diverged",
        "input-ignored",
    ),
    "underfitting": (
        "learning-rate-too-low",
        "learning-rate-too-high",
        "learning-rate-zero",
        "loss-not-decreasing",
        "loss-plateau",
        "loss-diverged",
        "symmetric-weights",
        "dead-relu",
        "vanishing-gradient",
    ),
    "loss-not-decreasing": ("loss-diverged",),
    "loss-plateau": ("loss-diverged", "loss-not-decreasing"),
    "loss-oscillating": ("loss-diverged",),
}

OF_UPDATES = ("learning-rate-too-high", "gradients-accumulate")  # what is ill at step 0 is not their work
WITHOUT_ONSET = ("loss-not-decreasing", "loss-plateau")  # seen from the start, whenever their cause set in
DIVIDED = 1 / 100  # a loss that is made so small, and its gradients with it
FAR_OFF_CENTER = 2.5  # deviations: the gradients of the first weights are several times what they would be
SLACK_STEPS = 20  # an onset is known no better than instruments and medians allow


OF_EMPTY_INPUTS = (
    "splits-differ-in-scale",
    "labels-unrelated-to-inputs",
    "no-gradient",
    "symmetric-weights",
    "vanishing-activations",
    "learning-rate-too-high",
    "loss-oscillating",
    "underfitting",
)
"""What comes of inputs that show nothing, beside what comes of inputs that are ignored."""


def explains(cause: Diagnosis, consequence: Diagnosis) -> bool:
    """Whether the table says that one leads to the other.

    An output explains something only if it was constant from the start; later it is a consequence itself. Parameters
    that stand still explain it only where no weights move at all, and inputs off their center only where that is far.
    A layer that is dead altogether, though something reaches it, hides the input from all behind it: there the table's
    order of `input-ignored` and `dead-relu` is the other way round. Where the output is the same for every example from
    the first step on, the values are lost before any gradient is: that is no work of a gradient that is missing, of
    a rate, nor of units of which some are not dead; of what never changes a rectifier lets all pass or nothing. The
    shape of a network and inputs in which there is nothing to see come of nothing. A single unit that has to tell all
    classes saturates.
    """
    if (cause.rule == "constant-output" and cause.first_step > 0) or _comes_of_nothing(consequence):
        return False
    if cause.rule == "initial-loss-off" and cause.evidence.get("ratio", 1.0) >= DIVIDED:
        return False
    if cause.rule == "loss-plateau" and not _is_built_in(cause):
        return False
    if cause.rule == "loss-oscillating" and "momentum" not in cause.evidence:
        return False
    if cause.rule == "inputs-not-centered" and not _is_far_off_center(cause):
        return False
    if cause.rule == "frozen-parameters" and cause.evidence.get("moving") != 0:
        return False
    if _is_of_empty_inputs(cause):
        return consequence.rule in (*OF_EMPTY_INPUTS, *CAUSES["input-ignored"])
    if _is_built_in(cause) and consequence.rule == "saturated-units":
        return len(consequence.layers) == 1
    dead = next((each for each in (cause, consequence) if each.rule == "dead-relu"), None)
    if dead is not None and {cause.rule, consequence.rule} == {"dead-relu", "input-ignored"}:
        hides = dead.evidence.get("dead", 0.0) == 1.0 and dead.evidence.get("deviation_before", 0.0) > 0
        return hides == (dead is cause)
    lost = next((each for each in (cause, consequence) if _is_lost_from_the_start(each)), None)
    if lost is not None and _comes_of_lost_values(lost, consequence if lost is cause else cause):
        return lost is cause
    return consequence.rule in CAUSES.get(cause.rule, ())


def _comes_of_nothing(diagnosis: Diagnosis) -> bool:
    return _is_built_in(diagnosis) or _is_of_empty_inputs(diagnosis)


def _is_built_in(diagnosis: Diagnosis) -> bool:
    """Whether a network can do no better as it is built: by its shape, or by its last activation."""
    narrow = diagnosis.rule == "underfitting" and diagnosis.severity != "info"
    return narrow or (diagnosis.rule == "loss-plateau" and "highest_label" in diagnosis.evidence)


def _is_of_empty_inputs(diagnosis: Diagnosis) -> bool:
    """Whether the inputs show nothing before the network has seen them."""
    return diagnosis.rule == "input-ignored" and "input" in diagnosis.evidence


def _is_far_off_center(diagnosis: Diagnosis) -> bool:
    return abs(diagnosis.evidence.get("mean", 0.0)) > FAR_OFF_CENTER * diagnosis.evidence.get("std", float("inf"))


def _is_lost_from_the_start(diagnosis: Diagnosis) -> bool:
    """Whether it says that nothing of the input reaches the output, learned or not."""
    if diagnosis.rule == "input-ignored":
        return diagnosis.evidence.get("varies") == 0.0
    return diagnosis.rule == "constant-output" and diagnosis.first_step == 0


def _comes_of_lost_values(lost: Diagnosis, other: Diagnosis) -> bool:
    if other.rule in ("no-gradient", "learning-rate-too-low"):
        return True
    return lost.rule == "constant-output" and other.rule == "dead-relu" and 0 < other.evidence.get("dead", 0.0) < 1


def first_cause(consequence: Diagnosis, causes: Sequence[Diagnosis]) -> str | None:
    """The rule among these that explains it; the one that stands first in the table, where several do."""
    present = {cause.rule for cause in causes if explains(cause, consequence)}
    return next((rule for rule in CAUSES if rule in present), None)


def arranged(diagnoses: Sequence[Diagnosis], groups: Mapping[str, str]) -> list[Diagnosis]:
    """The diagnoses of one run in the order in which people should read them, each naming its cause.

    `groups` maps each rule's name to its group.
    """
    names = {diagnosis.rule for diagnosis in diagnoses if diagnosis.severity != "info"}
    kept = [each for each in diagnoses if _is_built_in(each) or names.isdisjoint(RULED_OUT_BY.get(each.rule, ()))]
    caused = [replace(each, caused_by=_cause_of(each, kept)) for each in kept]
    ordered = list(_from_root_to_leaf(None, caused, groups))
    return ordered + [each for each in caused if each not in ordered]


def _cause_of(consequence: Diagnosis, among: Sequence[Diagnosis]) -> str | None:
    return first_cause(consequence, [cause for cause in among if _may_cause(cause, consequence)])


def _may_cause(cause: Diagnosis, consequence: Diagnosis) -> bool:
    strong_enough = cause.severity != "info" or consequence.severity == "info"
    if consequence.rule in WITHOUT_ONSET:
        return strong_enough
    before_any_update = consequence.first_step == 0 and cause.rule in OF_UPDATES
    return strong_enough and not before_any_update and cause.first_step <= consequence.first_step + SLACK_STEPS


def _from_root_to_leaf(root: str | None, diagnoses: list[Diagnosis], groups: Mapping[str, str]) -> Iterator[Diagnosis]:
    children = [each for each in diagnoses if each.caused_by == root]
    for child in sorted(children, key=lambda each: _rank(each, diagnoses, groups)):
        yield child
        yield from _from_root_to_leaf(child.rule, diagnoses, groups)


def _rank(diagnosis: Diagnosis, diagnoses: list[Diagnosis], groups: Mapping[str, str]) -> tuple[int, int, int]:
    severity = SEVERITIES.index(_worst_in_tree(diagnosis, diagnoses))
    return severity, GROUPS.index(groups[diagnosis.rule]), diagnosis.first_step


def _worst_in_tree(root: Diagnosis, diagnoses: list[Diagnosis]) -> str:
    below = [_worst_in_tree(each, diagnoses) for each in diagnoses if each.caused_by == root.rule]
    return worst([root.severity, *below])
