"""What the labels met while watching say of the classes of all: how many, and whether they are a fair sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from convdebug.rules.facts import Facts

BY_CHANCE = 1e-3  # how likely some class may look so rare that is not
SMALL_BATCH = 4  # in batches of fewer examples it cannot be seen whether they come sorted
SPREAD, OF_SIZE = 2.5, 0.05  # of chance; of what batches of one class each would have: those that come unsorted
THE_SAME = 0.01  # of chance: every batch is the same one
MOST_CLASSES_OF_TEXTS = 20  # where the inputs are no real numbers: more may be the letters of an alphabet
ROOM_FOR_ODD_TOKENS = 4  # padding, mask, begin and end


@dataclass(frozen=True)
class LabelsSeen:
    """How often each class was met in the batches that were looked at, and how many different labels that were."""

    counts: dict[str, int]
    distinct: float
    weighted: bool
    step: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def at_most(self, count: int) -> float:
        """How many of one class are to be expected in such a sample at most, where so many were met.

        The upper bound of a Poisson count (by its root, which has a deviation of 1/2), for the rarest of all classes.
        """
        deviations = NormalDist().inv_cdf(1 - BY_CHANCE / len(self.counts))
        return float((np.sqrt(self.of_distinct(count) + 1) + deviations / 2) ** 2)

    def of_distinct(self, count: int) -> float:
        """A count without the examples that were met again."""
        return count * self.distinct / self.total


def labels_seen(facts: Facts) -> LabelsSeen | None:
    """The labels as a sample of all; None where they are none, or are tokens, whose frequencies are a language's."""
    events = facts.events("labels-seen")
    if not events or _are_tokens(facts):
        return None
    data = events[-1].data
    counts = {str(label): int(count) for label, count in data["counts"].items()}
    total, batches, spread = sum(counts.values()), int(data["batches"]), data.get("spread")
    if spread is None or not total or total < SMALL_BATCH * batches or spread > max(SPREAD, OF_SIZE * total / batches):
        return None
    known = (facts.info.get("data") or {}).get("train")
    distinct = min(_distinct(data, total), known if isinstance(known, int) else total)
    return LabelsSeen(counts, distinct, bool(data.get("weighted")), events[-1].step or 0)


def _distinct(data: Mapping[str, Any], total: int) -> float:
    """How many different labels they were: batches drawn from few examples without replacement differ too little."""
    batches, spread = int(data["batches"]), float(data["spread"])
    size = total / batches
    if spread < THE_SAME:
        return size
    scatter = 2 * np.sqrt(2 / ((batches - 1) * (len(data["counts"]) - 1)))
    left = 1 - spread - scatter  # a batch takes this share of all there is
    return min(total, size / left) if left > 0 else total


def _are_tokens(facts: Facts) -> bool:
    """Whether what is to be told comes from the vocabulary of the inputs: the next word or letter."""
    classes = facts.info.get("num_classes") or 0
    shapes = {each["name"]: each["shape"] for each in facts.info.get("parameters") or []}
    tables = [
        shapes.get(name) or [0]
        for layer in facts.info.get("layers") or []
        if str(layer.get("kind", "")).startswith("Embedding")
        for name in layer.get("parameters") or ()
    ]
    if "input/std" not in facts.names and classes > MOST_CLASSES_OF_TEXTS:
        return True
    return any(0 <= rows - classes <= ROOM_FOR_ODD_TOKENS for rows, *_ in tables) or _are_one_hot(facts, classes)


def _are_one_hot(facts: Facts, classes: int) -> bool:
    shape = (facts.info.get("data") or {}).get("input_shape") or [0]
    mean, high = (facts.curve(f"input/{what}").values for what in ("mean", "max"))
    if not 2 < classes == shape[-1] or not len(mean):
        return False
    return bool(np.all(high == 1) and np.allclose(mean * classes, 1, atol=0.2))
