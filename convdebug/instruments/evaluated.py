"""What an evaluation was given: its sets of data, and which of the examples looked at had been trained on."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from .backward import moment_number
from .fetching import Fetched, Source, base_of

MOST_PARTS = 128
EACH = 16
"""So many batches of a set are looked at each, as many again of every second, half as many of every fourth, …"""


class Whence(NamedTuple):
    """What is known of where a batch comes from that is not of the training data."""

    source: Source = None
    """The loader's data, where it handed out a batch since training went on."""
    apart: bool = False
    """These are data of their own, and not those that are trained on, drawn by another sampler."""


@dataclass
class Part:
    """What was seen of one set of data in an evaluation: that of a loader, the views of a tensor, or a single batch."""

    apart: bool = False
    alone: bool = False
    """A single batch, of which nobody knows what it is a part of; `given` counts those after it not looked at too."""
    batches: int = 0
    given: int = 0
    looked_at: int = 0
    pairs: int = 0
    """Pairs of equal examples among those that were looked at."""
    trained: int = 0
    """Different examples that had been trained on."""
    met: Counter[int] = field(default_factory=Counter)

    def take(self, keys: list[int], trained: Mapping[int, int]) -> None:
        """So much of a batch was looked at."""
        self.looked_at += len(keys)
        for key in keys:
            before = self.met[key]
            self.met[key] = before + 1
            self.pairs += before
            self.trained += not before and key in trained

    def as_data(self) -> dict[str, Any]:
        """As an event holds it."""
        found = {name: getattr(self, name) for name in ("apart", "alone", "given", "looked_at", "pairs", "trained")}
        return {**found, "different": len(self.met)}


class Evaluation:
    """One evaluation: under way, or over and still on its way from the device."""

    def __init__(self, step: int, told: bool) -> None:
        self.step, self.told = step, told
        self.begun = moment_number()
        """Another backward pass since then, and this is none."""
        self.parts: list[Part] = []
        self.waiting = 0
        self.over = False
        self._of_loaders: dict[tuple[Source, int], Part] = {}
        self._fetched = -1
        self._alone = 0
        self._last_alone = Part()
        self._view = Part()
        self._views_of: weakref.ref[Tensor] | None = None

    def place_of(self, whence: Whence, lead: Tensor) -> tuple[Part, int] | None:
        """Which part a batch belongs to and as which of its batches; None for one that was given just before."""
        if whence.source is not None:
            again, self._fetched = Fetched.count == self._fetched, Fetched.count
            return None if again else self._next_of(self._of_loader(whence))
        base = base_of(lead)
        if base is not lead:
            return self._next_of(self._of_views(base))
        self._views_of = None
        place, self._alone = self._alone, self._alone + 1
        if is_looked_at(place):
            self._last_alone = self._another(alone=True)
        return self._last_alone, place

    def _next_of(self, part: Part) -> tuple[Part, int]:
        part.batches += 1
        return part, part.batches - 1

    def _of_loader(self, whence: Whence) -> Part:
        """A part is one round of a loader: the next one may be of a dataset that was made in the place of another."""
        key = whence.source, Fetched.rounds
        if key not in self._of_loaders:
            self._of_loaders[key] = self._another(apart=whence.apart)
        return self._of_loaders[key]

    def _of_views(self, base: Tensor) -> Part:
        """A part lasts as long as views of one tensor follow each other."""
        if self._views_of is None or self._views_of() is not base:
            self._view, self._views_of = self._another(), weakref.ref(base)
        return self._view

    def _another(self, apart: bool = False, alone: bool = False) -> Part:
        part = Part(apart, alone)
        if len(self.parts) < MOST_PARTS:
            self.parts.append(part)
        return part


def is_looked_at(place: int) -> bool:
    """Of the first batches each, then ever fewer, so that a long evaluation is seen all along."""
    return place % (1 << max(0, place.bit_length() - EACH.bit_length() + 1)) == 0
