"""Turns what a session gives (buckets of the level pyramid) into the points of curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convdebug_sessions import Buckets


@dataclass(frozen=True)
class Curve:
    """Points to draw, in steps and plain values; NaN where the line breaks. `bad`: steps of non-finite values."""

    steps: np.ndarray
    values: np.ndarray
    bad: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


EMPTY = Curve(np.zeros(0), np.zeros(0), np.zeros(0))


def envelope(buckets: Buckets) -> Curve:
    """Minimum and maximum of each bucket as one zigzag: no peak is hidden; a bucket of one row is one point."""
    first, last = _steps(buckets)
    low, high = np.asarray(buckets.minimum, np.float64), np.asarray(buckets.maximum, np.float64)
    bad = first[np.asarray(buckets.bad) > 0]
    if np.array_equal(low, high, equal_nan=True):
        return Curve((first + last) / 2, low, bad)
    steps, values = np.empty(2 * len(first)), np.empty(2 * len(first))
    steps[0::2], steps[1::2] = first, last
    values[0::2], values[1::2] = low, high
    return Curve(steps, values, bad)


def means(buckets: Buckets) -> Curve:
    """The mean of each bucket's finite values at its middle step."""
    first, last = _steps(buckets)
    bad = first[np.asarray(buckets.bad) > 0]
    return Curve((first + last) / 2, np.asarray(buckets.mean, np.float64), bad)


def _steps(buckets: Buckets) -> tuple[np.ndarray, np.ndarray]:
    first = np.asarray(buckets.first_step, np.float64)
    return first, np.asarray(buckets.last_step, np.float64)


def smooth(curve: Curve, steps: float) -> Curve:
    """Exponential moving average that forgets over `steps` steps, without the bias of its start.

    It looks backwards only: nothing shows before it has happened. Non-finite values leave it as it was.
    """
    if steps <= 0 or len(curve) < 2:
        return curve
    widths = np.diff(curve.steps, prepend=curve.steps[0] - max(curve.steps[1] - curve.steps[0], 1e-9))
    keeps = np.exp(-np.maximum(widths, 1e-9) / steps)
    result, total, weight = np.empty(len(curve)), 0.0, 0.0
    for index, (keep, value) in enumerate(zip(keeps.tolist(), curve.values.tolist(), strict=True)):
        if value - value == 0.0:  # finite
            total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        result[index] = total / weight if weight else np.nan
    return Curve(curve.steps, np.where(np.isfinite(curve.values), result, np.nan), curve.bad)


def log10(values: np.ndarray) -> np.ndarray:
    """log10 where it exists, NaN elsewhere."""
    result = np.full(np.shape(values), np.nan)
    np.log10(values, out=result, where=np.isfinite(values) & (np.asarray(values) > 0))
    return result


def nearest_index(steps: np.ndarray, step: float) -> int | None:
    """The index of the point nearest to a step; None where there is none."""
    if not len(steps):
        return None
    right = int(np.clip(np.searchsorted(steps, step), 0, len(steps) - 1))
    left = max(right - 1, 0)
    return left if abs(steps[left] - step) <= abs(steps[right] - step) else right
