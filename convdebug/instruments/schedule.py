"""Decides which instruments measure at which step, so that together they stay within the overhead budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from statistics import median

REMEMBERED = 9
LONGEST_INTERVAL = 4096
GROWTH = 200
"""Blobs: at every measured step up to this one, then ever rarer, so that a run of a million steps keeps about 2000."""


FAST_STEP_S = 0.008
EARLY_CHEAP = 0.01
"""Of a step: what costs less is measured early in any case."""
EARLY_GRACE_S = 0.016
EARLY_SHARE = 0.005
"""What early measurements of slower steps may take: a grace and a share of the steps so far, without pauses."""

TRUE_COST = 2.0
"""What a measurement costs, in multiples of what can be timed of it: caches are cold after it, hooks come and go."""

TRUE_BASE = 3.0
"""What listening costs at every step, in multiples of what can be timed of it: the rest is spread over the hooks."""

LEAST_SHARE = 0.01
"""Of the budget, for each instrument, however little those before it left."""

GATHERING_S = 2e-4
"""What it costs to measure anything at all at a step, beside the instruments themselves."""
GATHERING_SHARE = 0.1
"""Of the budget, for that: what falls due sooner waits, and is measured together with what falls due by then."""
LONGEST_WAIT = 8
MOST_BEGINNINGS = 4
"""A loop may make an optimizer for each epoch, or for each step."""


@dataclass
class Price:
    """What an instrument costs, and when it is due next."""

    name: str
    weight: float
    rarity: int = 1
    grows: bool = False
    follows: str | None = None
    pairs: bool = False
    early: bool = False
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    due: int = 0
    measured: int = 0
    cost: float = 0.0
    """Seconds one measurement takes: the median of the last few, which neither a hiccup nor a warm-up can move."""

    def pay(self, seconds: float) -> None:
        """One more measurement, and what it took."""
        self.measured += 1
        self.seconds.append(seconds)
        self.cost = min(self.seconds) if len(self.seconds) < 3 else median(self.seconds)


class Schedule:
    """Spends a share of the step's time on the instruments, the first in the list first.

    Each instrument may take its `weight` of what those before it left, so an expensive one cannot starve the rest.
    All of them measure at step 0, and at the powers of two (pictures at those of four): a short run has several
    measurements; counted anew where the training begins anew. Where steps are fast it does whatever the price, else as
    far as a small allowance goes.
    """

    def __init__(self, prices: Sequence[Price], budget: float = 0.02, every: int | None = None) -> None:
        self.prices = list(prices)
        self.budget = budget
        self.every = every
        self._soonest = 0
        self._origin = 0
        self._begun = 0
        self._steps: deque[float] = deque(maxlen=REMEMBERED)
        self._bases: deque[float] = deque(maxlen=REMEMBERED)
        self._taken = 0
        self._early_spent = 0.0
        self._first: tuple[int, Mapping[str, float]] | None = None
        """What was measured before it was known how long a step takes."""

    @property
    def step_seconds(self) -> float:
        """How long the user's own step takes."""
        return median(self._steps) if self._steps else 0.0

    @property
    def _fastest_step(self) -> float:
        """Of the last few: what the first steps take beside is no measure."""
        return min((seconds for seconds in self._steps if seconds > 0), default=inf)

    @property
    def base_seconds(self) -> float:
        """What watching costs on every step, whatever is measured."""
        return median(self._bases) if self._bases else 0.0

    def stepped(self, seconds: float, base_seconds: float = 0.0) -> None:
        """A step took `seconds` without any watching, and watching it at all cost `base_seconds`."""
        self._steps.append(seconds)
        self._taken += 1
        self._bases.append(base_seconds)
        if self._first is not None:
            first, self._first = self._first, None
            self._plan(*first)

    def begin_anew(self, step: int) -> None:
        """Another optimizer trains from this step on: its first steps are looked at as those of the first one were."""
        if self._begun < MOST_BEGINNINGS:
            self._begun += 1
            self._origin = step

    def nothing_due(self, step: int) -> bool:
        """The cheap question, for the many steps at which the answer is yes."""
        if self.every is not None:
            return step % self.every != 0
        since = step - self._origin
        return step < self._soonest and since & (since - 1) != 0

    def due(self, step: int) -> list[str]:
        """The names of the instruments that measure at `step`."""
        if self.nothing_due(step):
            return []
        found: list[str] = []
        early, cheap = self._early_allowance(), EARLY_CHEAP * self._fastest_step
        for price in self.prices:
            if price.follows is not None and price.follows not in found:
                continue
            if self._is_due(price, step):
                found.append(price.name)
            elif self._is_early(price, step) and (price.early or price.cost <= max(early, cheap)):
                early -= price.cost
                self._early_spent += price.cost
                found.append(price.name)
        return found

    def measured(self, step: int, seconds: Mapping[str, float]) -> None:
        """These instruments measured at `step` and took so many seconds; sets when each is due again."""
        for price in self.prices:
            if price.name in seconds:
                price.pay(seconds[price.name])
        if not self._steps:
            self._first = step, {**(self._first[1] if self._first else {}), **seconds}
        self._plan(step, seconds)

    def _plan(self, step: int, seconds: Mapping[str, float]) -> None:
        """Set when those that measured at `step` are due again."""
        for price, affordable in zip(self.prices, self._affordable(), strict=True):
            if price.name in seconds:
                first_of_pair = price.pairs and price.measured % 2 == 1
                price.due = step + (1 if first_of_pair else self._interval(price, step, affordable))
        soonest = min((price.due for price in self.prices), default=LONGEST_INTERVAL)
        awaited = any(price.pairs and price.name in seconds and price.due == step + 1 for price in self.prices)
        self._soonest = soonest if awaited else max(soonest, step + self._wait())

    def drop(self, name: str) -> None:
        """Forget an instrument that failed."""
        self.prices = [price for price in self.prices if price.name != name]

    def _is_due(self, price: Price, step: int) -> bool:
        if self.every is not None:
            return step % (self.every * price.rarity) == 0
        return step >= price.due or step == 0

    def _is_early(self, price: Price, step: int) -> bool:
        return self.every is None and _is_power(step - self._origin, 4 if price.rarity > 1 else 2)

    def _early_allowance(self) -> float:
        """Seconds that early measurements may still take."""
        if self._fastest_step < FAST_STEP_S:
            return inf
        return EARLY_GRACE_S + EARLY_SHARE * self._taken * self.step_seconds - self._early_spent

    def _wait(self) -> int:
        """Steps from one measured step to the next."""
        share = GATHERING_SHARE * self.budget * self.step_seconds
        return min(LONGEST_WAIT, ceil(GATHERING_S / share)) if share > 0 else 1

    def _interval(self, price: Price, step: int, affordable: int) -> int:
        spread = 1 + step // GROWTH if price.grows else 1
        return min(LONGEST_INTERVAL, max(spread, affordable, price.rarity))

    def _affordable(self) -> list[int]:
        """After how many steps each may measure again: one walk, as each leaves the rest to those after it."""
        whole = self.budget * self.step_seconds
        left = whole - TRUE_BASE * self.base_seconds
        intervals = []
        for price in self.prices:
            share = max(left * price.weight, whole * LEAST_SHARE)
            if share <= 0:
                intervals.append(LONGEST_INTERVAL if price.seconds and self._steps else 1)
                continue
            intervals.append(max(1, ceil(TRUE_COST * price.cost / share)))
            left -= TRUE_COST * price.cost / intervals[-1]
        return intervals


def _is_power(step: int, base: int) -> bool:
    """Whether `step` is a power of `base` (2 or 4)."""
    return step > 0 and step & (step - 1) == 0 and (base == 2 or step.bit_length() % 2 == 1)
