"""Labels that the loss cannot take, and classes that are unequally frequent."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from convdebug.rules.facts import Facts
from convdebug.rules.labels_seen import BY_CHANCE, LabelsSeen, labels_seen
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Event, Remedy

OUT_OF_BOUNDS = re.compile(r"[Tt]arget (-?\d+) is out of bounds")
DEVICE_ASSERT = re.compile(r"t >= 0 && t < n_classes|device-side assert")
BEYOND = 1e-3  # of what a binary loss takes; rounding is smaller
FAR_BEYOND = 0.5  # noisy labels of a GAN lie between 0.7 and 1.2
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
IMBALANCE = 10.0  # largest against smallest class (SageMaker Debugger's class_imbalance)
ENOUGH_OF_LARGEST = 50  # examples; below, ten times is chance


def judge_range(facts: Facts) -> Finding | None:
    """The loss's own complaint in a crash, counted labels beyond the outputs, labels that are no shares."""
    outputs = facts.info.get("num_classes")
    for crash in facts.events("crash"):
        found = OUT_OF_BOUNDS.search(str(crash.data.get("message", "")))
        if found:
            return _out_of_range([int(found.group(1))], outputs, crash.step or 0)
    beyond = _labels_beyond(facts, outputs)
    return _out_of_range(beyond, outputs, 0) if beyond else _no_shares(facts)


def _no_shares(facts: Facts) -> Finding | None:
    """Labels below 0 or above 1 that a binary loss was given."""
    low, high = (facts.table("loss-input", what) for what in ("label_min", "label_max"))
    for place, call in enumerate(low.names):
        name = call.partition(".")[0]
        if name not in BINARY or call not in high.names:
            continue
        least, most = low.values[:, place], high.values[:, high.names.index(call)]
        steps = low.steps[(least < -BEYOND) | (most > 1 + BEYOND)]
        if len(steps):
            return shares_out_of_range(name, float(np.nanmin(least)), float(np.nanmax(most)), steps)
    return None


def shares_out_of_range(name: str, low: float, high: float, steps: Sequence[int] | np.ndarray = (0,)) -> Finding:
    """What to say of a binary loss that is given labels outside [0, 1]; a little outside may be noise on purpose."""
    return Finding(
        "error" if low <= -FAR_BEYOND or high >= 1 + FAR_BEYOND else "info",
        f"The labels that {name} is given run from {low:.3g} to {high:.3g}; it takes shares from 0 to 1. For any other "
        "label it has no lowest value: it falls for ever as the scores grow, and says nothing about the answers.",
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        evidence={"lowest": low, "highest": high},
        remedies=(
            Remedy("Give it 0 and 1: divide masks of 255 by 255, turn -1 and 1 into (labels + 1) / 2."),
            Remedy("Leave examples without a label out of the loss with a mask or with weights of 0."),
        ),
    )


def _labels_beyond(facts: Facts, outputs: int | None) -> list[int]:
    crashed = any(DEVICE_ASSERT.search(str(crash.data.get("message", ""))) for crash in facts.events("crash"))
    labels = {label for event in facts.survey("classes") for label in _numeric(event.data.get("counts") or {})}
    negative = {label for label in labels if label < 0 and crashed}  # without a crash they are ignored on purpose
    return sorted(negative | {label for label in labels if outputs and label >= outputs > 1})


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
    """The largest against the smallest class of the training split, or of a sample of it."""
    events = [event for event in facts.survey("classes") if event.data.get("split", "train") == "train"]
    if not events:
        seen = labels_seen(facts)
        return _judge_sample(seen) if seen is not None else None
    counts = _counts(events[-1])
    if not counts or max(counts.values()) < ENOUGH_OF_LARGEST:
        return None
    if len(counts) == 1:
        return _only(*counts.popitem()) if events[-1].data.get("only_these") else None
    large, small = _extremes(counts)
    if counts[large] < IMBALANCE * counts[small]:
        return None
    words = f"Class {large} has {counts[large]} training examples, class {small} only {counts[small]}"
    weights = " The loss is given weights, which may make up for it." if events[-1].data.get("weighted") else ""
    return _imbalanced(counts, words, weights)


def _judge_sample(seen: LabelsSeen) -> Finding | None:
    """The same of the labels met so far, where the smallest class is too rare for chance: one of 94, for example."""
    counts = seen.counts
    large, small = _extremes(counts)
    if seen.of_distinct(counts[large]) < IMBALANCE * seen.at_most(counts[small]):
        return None
    words = f"Of {seen.total} labels seen so far, a sample of all, {counts[large]} are of class {large} and only "
    weights = " The loss is weighted, or taken of each example by itself, which may make up for it."
    found = _imbalanced(counts, f"{words}{counts[small]} of class {small}", weights if seen.weighted else "")
    return replace(found, last_step=seen.step)


def _extremes(counts: dict[str, int]) -> tuple[str, str]:
    return max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])


def _imbalanced(counts: dict[str, int], words: str, weights: str) -> Finding:
    """What to say; `weights` is not empty where the loss may have made up for it."""
    large, small = _extremes(counts)
    share = counts[large] / sum(counts.values())
    return Finding(
        "info" if weights else "warning",
        f"{words} ({counts[large] / counts[small]:.0f} times fewer). Always answering {large} is right {share:.0%} of "
        f"the time already.{weights}",
        evidence={"largest": float(counts[large]), "smallest": float(counts[small]), "share_of_largest": share},
        remedies=(
            Remedy("Weight the loss by inverse class frequency, or sample the classes evenly."),
            Remedy("Judge by accuracy per class instead of overall accuracy."),
        ),
    )


def _only(label: str, count: int) -> Finding:
    return Finding(
        "warning",
        f"All {count} training examples have the label {label}: there is nothing to tell apart, and the loss falls to "
        "nothing by always giving this answer.",
        evidence={"largest": float(count), "smallest": 0.0, "share_of_largest": 1.0},
        remedies=(
            Remedy("Look at how labels are read: a division, a cast to integers or a wrong column makes them alike."),
            Remedy("Check that a filter or a limit on the number of examples did not leave one class alone."),
        ),
    )


def _counts(event: Event) -> dict[str, int]:
    return {str(label): int(count) for label, count in (event.data.get("counts") or {}).items() if count}


OUT_OF_RANGE = Rule(
    name="label-out-of-range",
    title="Labels out of range",
    group="data",
    severities=("error", "info"),
    meaning="Some label is negative or not smaller than the number of outputs. Cross entropy picks one output by the "
    "label: there is none to pick. On the CPU it raises; on a GPU it fails an assertion and takes the process down. A "
    "binary cross entropy takes labels outside of 0 to 1 without a word, and then falls without bound.",
    causes="Labels counted from 1, a class that was added after the last layer was made, -1 for unknown, masks with "
    "255, -1 and 1 where 0 and 1 belong.",
    remedies="Count labels from 0, match the last layer to the number of classes, use ignore_index.",
    source="Any such label counts; not those that a mask or weights may leave out of the loss.",
    judge=judge_range,
)

IMBALANCED = Rule(
    name="class-imbalance",
    title="Classes are imbalanced",
    group="data",
    severities=("warning", "info"),
    meaning="Some classes have many times more training examples than others, or one has all. The network gains most "
    "by answering the frequent ones, and accuracy looks better than it is.",
    causes="The data were collected as they came; a filter or a limit cut some classes.",
    remedies="Weighted loss, weighted sampling, more data of the rare classes, accuracy per class.",
    source=f"Largest against smallest class above {IMBALANCE:g} (SageMaker Debugger), from {ENOUGH_OF_LARGEST} "
    "examples of the largest on; an info where the loss has weights. Where only a part has been seen, while watching, "
    "by so much that no class would look as rare by chance "
    f"({BY_CHANCE:g}); nothing where batches come sorted, where the same few come again and again, and of tokens.",
    judge=judge_balance,
)
