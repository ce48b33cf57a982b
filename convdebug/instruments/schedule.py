"""Decides which instruments measure at which step, so that together they stay within the overhead budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median

REMEMBERED = 9
LONGEST_INTERVAL = 4096
GROWTH = 200
"""Blobs: at every measured step up to this one, then ever rarer, so that a run of a million steps keeps about 2000."""


@dataclass
class Price:
    """What an instrument costs, and when it is due next."""

    name: str
    weight: float
    rarity: int = 1
    grows: bool = False
    follows: str | None = None
    pairs: bool = False
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    due: int = 0
    measured: int = 0

    @property
    def cost(self) -> float:
        """Seconds one measurement takes: the median of the last few, which neither a hiccup nor a warm-up can move."""
        if len(self.seconds) < 3:
            return min(self.seconds, default=0.0)
        return median(self.seconds)


class Schedule:
    """Spends a share of the step's time on the instruments, the first in the list first.

    Each instrument may take its `weight` of what those before it left, so an expensive one cannot starve the rest.
    Whatever the price, all of them measure at step 0 and at the powers of two (pictures at those of four): a short
    run, however fast its steps, has several measurements.
    """

    def __init__(self, prices: Sequence[Price], budget: float = 0.02, every: int | None = None) -> None:
        self.prices = list(prices)
        self.budget = budget
        self.every = every
        self._soonest = 0
        self._steps: deque[float] = deque(maxlen=REMEMBERED)
        self._bases: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def step_seconds(self) -> float:
        """How long the user's own step takes."""
        return median(self._steps) if self._steps else 0.0

    @property
    def base_seconds(self) -> float:
        """What watching costs on every step, whatever is measured."""
        return median(self._bases) if self._bases else 0.0

    def stepped(self, seconds: float, base_seconds: float = 0.0) -> None:
        """A step took `seconds` without any watching, and watching it at all cost `base_seconds`."""
        self._steps.append(seconds)
        self._bases.append(base_seconds)

    def nothing_due(self, step: int) -> bool:
        """The cheap question, for the many steps at which the answer is yes."""
        if self.every is not None:
            return step % self.every != 0
        return step < self._soonest and step & (step - 1) != 0

    def due(self, step: int) -> list[str]:
        """The names of the instruments that measure at `step`."""
        found: list[str] = []
        for price in self.prices:
            if self._is_due(price, step) and (price.follows is None or price.follows in found):
                found.append(price.name)
        return found

    def measured(self, name: str, step: int, seconds: float) -> None:
        """An instrument measured at `step` and took `seconds`; sets when it is due again."""
        price = next(price for price in self.prices if price.name == name)
        price.seconds.append(seconds)
        price.measured += 1
        first_of_pair = price.pairs and price.measured % 2 == 1
        price.due = step + (1 if first_of_pair else self._interval(price, step))
        self._soonest = min(price.due for price in self.prices)

    def drop(self, name: str) -> None:
        """Forget an instrument that failed."""
        self.prices = [price for price in self.prices if price.name != name]

    def _is_due(self, price: Price, step: int) -> bool:
        if self.every is not None:
            return step % (self.every * price.rarity) == 0
        return step >= price.due or _is_early(step, 4 if price.rarity > 1 else 2)

    def _interval(self, price: Price, step: int) -> int:
        spread = 1 + step // GROWTH if price.grows else 1
        affordable = self._affordable(price)
        return min(LONGEST_INTERVAL, max(spread, affordable, price.rarity))

    def _affordable(self, wanted: Price) -> int:
        left = self.budget * self.step_seconds - self.base_seconds
        for price in self.prices:
            share = max(left * price.weight, self.budget * self.step_seconds * 0.02)
            if share <= 0:
                return LONGEST_INTERVAL if price.seconds and self._steps else 1
            interval = max(1, ceil(price.cost / share))
            if price is wanted:
                return interval
            left -= price.cost / interval
        return 1


def _is_early(step: int, base: int) -> bool:
    """Whether `step` is 0 or a power of `base` (2 or 4)."""
    return step & (step - 1) == 0 and (base == 2 or step.bit_length() % 2 == 1 or step == 0)
