"""Analytic against numerical gradients, one entry of a parameter at a time, kinks told apart from mistakes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WRONG = 1e-2
"""Relative error above which a smooth entry counts as wrong (CS231n: more than 1e-2 is usually wrong)."""
STEPS = {torch.float64: (1e-4, 1e-5, 1e-6, 1e-7), torch.float32: (3e-2, 1e-2, 3e-3)}
"""How far an entry is moved, against its own size; shorter and shorter, so that a kink falls outside."""
_ROUNDING = {torch.float64: 50.0, torch.float32: 8.0}
_NEGLIGIBLE = 1e-4
_FAR = 0.3
_PLAINLY_RIGHT = 0.01


@dataclass(frozen=True)
class Entry:
    """One entry of a parameter: both gradients, their relative error, and what that means.

    `verdict` is right, wrong, kink (the loss bends just here and the gradient lies between both sides), flat (the loss
    moves in jumps, so it has no gradient to compare with) or unclear (bends, jumps or rounding at every step tried).
    """

    parameter: str
    index: int
    analytic: float
    numeric: float
    error: float
    verdict: str


@dataclass(frozen=True)
class Sides:
    """The slopes on both sides of a point, a step away, and how far rounding may have moved them."""

    step: float
    left: float
    right: float
    noise: float

    @property
    def central(self) -> float:
        """The centred difference."""
        return 0.5 * (self.left + self.right)

    @property
    def gap(self) -> float:
        """How far the slopes of both sides are apart."""
        return self.right - self.left


def _bends(sides: list[Sides]) -> bool:
    """Whether the slopes of both sides stay apart however short the step: on a smooth loss they meet as it shrinks."""
    if len(sides) < 2:
        return False
    before, last = sides[-2], sides[-1]
    shrunk = math.sqrt(last.step / before.step)
    return abs(last.gap) > max(4 * last.noise, shrunk * abs(before.gap))


class Differences:
    """Moves entries of one parameter and asks for the loss; every entry is put back exactly."""

    def __init__(self, name: str, parameter: Tensor, gradient: Tensor | None, loss: Callable[[], float]) -> None:
        self.name, self.loss = name, loss
        self._values = parameter.detach()
        self._gradient = None if gradient is None else gradient.detach().reshape(-1)
        self._size = float(self._values.abs().mean()) or 1e-2
        self._largest = 0.0 if self._gradient is None else float(self._gradient.abs().max())
        self._bound = WRONG if parameter.dtype == torch.float64 else 10 * WRONG
        self._rounding = _ROUNDING[parameter.dtype] * torch.finfo(parameter.dtype).eps
        self._steps = STEPS[parameter.dtype]

    def entry(self, index: int, loss: float) -> Entry:
        """Judge one entry; `loss` is the loss where nothing is moved."""
        analytic = 0.0 if self._gradient is None else float(self._gradient[index])
        sides: list[Sides] = []
        for step in self._steps:
            sides.append(self._sides(index, step, loss))
            if self._error(analytic, sides[-1]) <= _PLAINLY_RIGHT * self._bound:
                break
        best = min(sides, key=lambda each: self._error(analytic, each))
        if self._error(analytic, best) <= self._bound:
            return Entry(self.name, index, analytic, best.central, self._shown(analytic, best), "right")
        return self._not_right(index, analytic, sides, loss)

    def _at(self, index: int, shift: float) -> float:
        place = self._place(index)
        kept = self._values[place].clone()
        self._values[place] += shift
        try:
            return self.loss()
        finally:
            self._values[place] = kept

    def _place(self, index: int) -> tuple[int, ...]:
        return tuple(int(each) for each in np.unravel_index(index, tuple(self._values.shape)))

    def _reach(self, index: int) -> float:
        return max(abs(float(self._values[self._place(index)])), self._size)

    def _sides(self, index: int, step: float, loss: float) -> Sides:
        shift = step * self._reach(index)
        above, below = self._at(index, shift), self._at(index, -shift)
        noise = self._rounding * max(abs(loss), abs(above), abs(below)) / shift
        return Sides(shift, (loss - below) / shift, (above - loss) / shift, noise)

    def _scale(self, analytic: float, sides: Sides) -> float:
        return max(abs(analytic), abs(sides.central), _NEGLIGIBLE * self._largest, 1e-300)

    def _error(self, analytic: float, sides: Sides) -> float:
        difference = abs(analytic - sides.central)
        if not math.isfinite(difference):
            return math.inf
        return max(0.0, difference - sides.noise) / self._scale(analytic, sides)

    def _shown(self, analytic: float, sides: Sides) -> float:
        """The plain relative error, where rounding does not make up most of what is compared."""
        scale = self._scale(analytic, sides)
        clear = sides.noise < self._bound * scale
        return abs(analytic - sides.central) / scale if clear else self._error(analytic, sides)

    def _not_right(self, index: int, analytic: float, sides: list[Sides], loss: float) -> Entry:
        clear = [each for each in sides if each.noise < 0.3 * self._bound * self._scale(analytic, each)]
        last = (clear or sides)[-1]
        error = self._error(analytic, last)
        return Entry(self.name, index, analytic, last.central, error, self._why(index, analytic, clear, loss))

    def _why(self, index: int, analytic: float, clear: list[Sides], loss: float) -> str:
        if not math.isfinite(analytic) or not clear:
            return "unclear"
        last = clear[-1]
        margin = self._bound * self._scale(analytic, last) + last.noise
        if abs(last.gap) > margin or _bends(clear):
            between = min(last.left, last.right) - margin <= analytic <= max(last.left, last.right) + margin
            return "kink" if between else "unclear"
        if last.left == last.right == 0.0 and self._jumps(index, loss):
            return "flat"
        settled = len(clear) > 1 and abs(last.central - clear[-2].central) <= margin
        return "wrong" if settled else "unclear"

    def _jumps(self, index: int, loss: float) -> bool:
        far = _FAR * self._reach(index)
        return self._at(index, far) != loss or self._at(index, -far) != loss
