"""Remedies whose change a machine can apply, computed from the run's own settings."""

import math
from typing import Any

from convdebug.rules.curves import number, rounded
from convdebug.rules.facts import Facts
from convdebug.rules.training import base_rate, update_ratio
from convdebug_sessions import Remedy

WANTED_RATIO = 1e-3  # lecture, "Track the ratio of weight updates / weight magnitudes"


def lower_rate(
    facts: Facts, ratio: float = float("nan"), least: float = 10.0, in_force: float = float("nan")
) -> Remedy:
    """A smaller learning rate: the one that brings the update ratio near 1e-3, a tenth where the ratio is unknown.

    Smaller than the one `in_force` where that is given, and no config says another one.
    """
    ratio = ratio if math.isfinite(ratio) else first_ratio(facts)
    factor = max(least, ratio / WANTED_RATIO) if math.isfinite(ratio) else least
    chosen = math.isnan(in_force) or facts.setting("optimizer.lr") is not None
    now = base_rate(facts) if chosen else in_force
    return rate_remedy(facts, now / factor, "lower the learning rate", now)


def first_ratio(facts: Facts) -> float:
    """The update ratio before anything was damaged, NaN if unknown."""
    known = update_ratio(facts).finite().values
    return float(known[0]) if len(known) else float("nan")


def raise_rate(facts: Facts, ratio: float = float("nan"), most: float = 1e5) -> Remedy:
    """A larger learning rate: the one that brings the update ratio near 1e-3, else a hundred times."""
    factor = min(most, max(10.0, WANTED_RATIO / ratio)) if ratio > 0 else 100.0
    return rate_remedy(facts, base_rate(facts) * factor, "raise the learning rate")


def rate_remedy(facts: Facts, rate: float, what: str, now: float | None = None) -> Remedy:
    """The learning rate as a change, in words alone where the present one is unknown."""
    if not math.isfinite(rate):
        return Remedy(f"{what[0].upper()}{what[1:]}.")
    rate = rounded(rate)
    now = base_rate(facts) if now is None else now
    return Remedy(f"{what[0].upper()}{what[1:]} from {now:g} to about {rate:g}.", {"optimizer.lr": rate})


def setting_remedy(facts: Facts, text: str, **changes: Any) -> Remedy:
    """A change of the config (`model__init="he"` means model.init), mere words where the run has no such setting."""
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    known = all(facts.setting(key) is not None for key in keys)
    return Remedy(text, keys if known else None)


def ratio_text(ratio: float) -> str:
    """The update ratio as messages quote it."""
    return f"each update moves the weights by {number(ratio)} of their size (healthy: about 0.001)"
