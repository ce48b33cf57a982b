"""Labels that the loss cannot take, and classes that are unequally frequent."""

import re
from typing import Any

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Event, Remedy

OUT_OF_BOUNDS = re.compile(r"[Tt]arget (-?\d+) is out of bounds")
DEVICE_ASSERT = re.compile(r"t >= 0 && t < n_classes|device-side assert")
IMBALANCE = 10.0  # largest against smallest class (SageMaker Debugger's class_imbalance)
ENOUGH_OF_LARGEST = 50  # examples; below, ten times is chance


def judge_range(facts: Facts) -> Finding | None:
    """The loss's own complaint in a crash, or counted labels beyond the number of outputs."""
    outputs = facts.info.get("num_classes")
    for crash in facts.events("crash"):
        found = OUT_OF_BOUNDS.search(str(crash.data.get("message", "")))
        if found:
            return _out_of_range([int(found.group(1))], outputs, crash.step or 0)
    beyond = _labels_beyond(facts, outputs)
    return _out_of_range(beyond, outputs, 0) if beyond else None


def _labels_beyond(facts: Facts, outputs: int | None) -> list[int]:
    crashed = any(DEVICE_ASSERT.search(str(crash.data.get("message", ""))) for crash in facts.events("crash"))
    labels = {label for event in facts.survey("classes") for label in _numeric(event.data.get("counts") or {})}
    negative = {label for label in labels if label < 0 and crashed}  # without a crash they are ignored on purpose
    return sorted(negative | {label for label in labels if outputs and label >= outputs})


def _numeric(counts: dict[str, Any]) -> list[int]:
    return [int(label) for label in counts if re.fullmatch(r"-?\d+", str(label))]


def _out_of_range(labels: list[int], outputs: int | None, step: int) -> Finding:
    shown = ", ".join(str(label) for label in labels[:5]) + (", …" if len(labels) > 5 else "")
    room = f"; the network has {outputs} outputs, so labels run from 0 to {outputs - 1}" if outputs else ""
    return Finding(
        "error",
        f"The labels contain {shown}{room}. The loss cannot be computed for them.",
        first_step=step,
        last_step=step,
        evidence={"label": float(labels[-1])} | ({"outputs": float(outputs)} if outputs else {}),
        remedies=(
            Remedy("Count the labels from 0; give the last layer as many outputs as there are classes."),
            Remedy("Mark labels that are to be left out with the loss's ignore_index."),
        ),
    )


def judge_balance(facts: Facts) -> Finding | None:
    """The largest against the smallest class of the training split."""
    events = [event for event in facts.survey("classes") if event.data.get("split", "train") == "train"]
    counts = _counts(events[-1]) if events else {}
    if len(counts) < 2 or max(counts.values()) < ENOUGH_OF_LARGEST:
        return None
    large, small = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[large] < IMBALANCE * counts[small]:
        return None
    share = counts[large] / sum(counts.values())
    return Finding(
        "warning",
        f"Class {large} has {counts[large]} training examples, class {small} only {counts[small]} "
        f"({counts[large] / counts[small]:.0f} times fewer). Always answering {large} is right {share:.0%} of the time "
        "already.",
        evidence={"largest": float(counts[large]), "smallest": float(counts[small]), "share_of_largest": share},
        remedies=(
            Remedy("Weight the loss by inverse class frequency, or sample the classes evenly."),
            Remedy("Judge by accuracy per class instead of overall accuracy."),
        ),
    )


def _counts(event: Event) -> dict[str, int]:
    return {str(label): int(count) for label, count in (event.data.get("counts") or {}).items() if count}


OUT_OF_RANGE = Rule(
    name="label-out-of-range",
    title="Labels out of range",
    group="data",
    severities=("error",),
    meaning="Some label is negative or not smaller than the number of outputs. Cross entropy picks one output by the "
    "label: there is none to pick. On the CPU it raises; on a GPU it fails an assertion and takes the process down.",
    causes="Labels counted from 1, a class that was added after the last layer was made, -1 for unknown, masks with "
    "255.",
    remedies="Count labels from 0, match the last layer to the number of classes, use ignore_index.",
    source="Any such label counts.",
    judge=judge_range,
)

IMBALANCED = Rule(
    name="class-imbalance",
    title="Classes are imbalanced",
    group="data",
    severities=("warning",),
    meaning="Some classes have many times more training examples than others. The network gains most by answering the "
    "frequent ones, and accuracy looks better than it is.",
    causes="The data were collected as they came; a filter or a limit cut some classes.",
    remedies="Weighted loss, weighted sampling, more data of the rare classes, accuracy per class.",
    source=f"Largest against smallest class above {IMBALANCE:g} (SageMaker Debugger), from {ENOUGH_OF_LARGEST} "
    "examples of the largest on.",
    judge=judge_balance,
)
