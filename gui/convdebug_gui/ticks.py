"""Few and round ticks for linear and logarithmic axes, and short words for numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MINUS = "−"


def few_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most about `count` round positions (1, 2, 2.5, 5 times a power of ten) within low…high."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [power * factor for factor in (0.5, 1, 2, 2.5, 5, 10)]
    wanted = next(index for index, step in enumerate(steps) if step >= raw * 0.999)
    found = _multiples(low, high, steps[wanted])
    return found if len(found) > 1 or wanted == 0 else _multiples(low, high, steps[wanted - 1])  # one has no scale


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def whole_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most about `count` whole numbers within low…high: there is no half a step."""
    found = few_ticks(low, high, count)
    return found if all(tick == int(tick) for tick in found) else _multiples(low, high, 1.0)


def log_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Few positions on an axis of log10 values: 1, 2, 5 of each decade where they fit, else whole decades."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(low), math.ceil(high) + 1)
        found = [decade + math.log10(factor) for decade in decades for factor in factors]
        found = [position for position in found if low - 1e-9 <= position <= high + 1e-9]
        if len(found) <= count:
            if len(found) > 1:
                return found
            return [math.log10(value) for value in few_ticks(10**low, 10**high, 3) if value > 0]
    return [tick for tick in few_ticks(low, high, count) if tick == round(tick)]


def short_number(value: float, digits: int = 3) -> str:
    """A number as briefly as it can be read: 0.041, 2.3, 41 k, 3.1e+06, NaN."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    size = abs(value)
    if size != 0 and (size < 10 ** (1 - digits) or size >= 1e6):
        return _exponent(value, digits)
    if size >= 10_000:
        return f"{value / 1000:.{max(digits, 3)}g} k".replace("-", MINUS)
    return f"{value:.{max(digits, 4 if size >= 1000 else digits)}g}".replace("-", MINUS)


def _exponent(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def step_number(step: float) -> str:
    """A step in full, thousands set apart by thin spaces."""
    return f"{int(step):,}".replace(",", "\u2009")


def axis_steps(step: float) -> str:
    """A step on an axis: 400, 20 k, 1.5 M."""
    if abs(step) >= 1e6:
        return f"{step / 1e6:g} M"
    return f"{step / 1e3:g} k" if abs(step) >= 1e4 else f"{step:g}"


def duration(seconds: float) -> str:
    """Time on an axis or beside a bar: 12 s, 4:12, 1:04:12."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def finite_range(values: np.ndarray, low_share: float = 0.0, high_share: float = 1.0) -> tuple[float, float] | None:
    """Smallest and largest finite value (or the given quantiles), None where nothing is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    if low_share == 0.0 and high_share == 1.0:
        return float(finite.min()), float(finite.max())
    low, high = np.quantile(finite, (low_share, high_share))
    return float(low), float(high)


def short_layer_names(names: Sequence[str]) -> list[str]:
    """Layer names without the words that all of them begin with."""
    parts = [name.split(".") for name in names]
    while len(parts) > 1 and all(len(part) > 1 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    return [".".join(part) for part in parts]
