"""What the trials of a learning-rate sweep say together: which rates learn, and which one to take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEARNED = 0.01
"""A rate learns when the loss falls by this share of what it was on the same batches before training."""
HALF = 0.5
CLOSE = 0.05
PROLONGED = 3
ALIKE = 1e-6
"""Losses that differ by a smaller share are the same: rates decades apart never agree so well where they matter."""


@dataclass(frozen=True)
class Trial:
    """One short training: `first_loss` and `last_loss` on the same batches, before it and at its end."""

    lr: float
    seed: int
    status: str
    first_loss: float
    last_loss: float
    steps: int
    run: int

    def as_json(self) -> dict[str, Any]:
        """As in `sweep --json`."""
        return {
            "lr": self.lr,
            "seed": self.seed,
            "status": self.status,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
            "steps": self.steps,
            "run": self.run,
        }


@dataclass(frozen=True)
class Suggestion:
    """A rate to take, the range in which rates learn well, and why; without numbers where no rate learns."""

    lr: float | None
    low: float | None
    high: float | None
    why: str

    def as_json(self) -> dict[str, Any]:
        """As in `sweep --json`."""
        return {"lr": self.lr, "low": self.low, "high": self.high, "why": self.why}


@dataclass(frozen=True)
class Rate:
    """All trials of one learning rate."""

    lr: float
    trials: tuple[Trial, ...]

    @property
    def status(self) -> str:
        """diverged if any seed diverged; ok if most learned; else stalled."""
        statuses = [trial.status for trial in self.trials]
        if "diverged" in statuses:
            return "diverged"
        return "ok" if 2 * statuses.count("ok") > len(statuses) else "stalled"

    @property
    def loss(self) -> float:
        """Median over seeds of the loss at the end; infinite where a seed diverged."""
        if self.status == "diverged":
            return math.inf
        return float(np.median([trial.last_loss for trial in self.trials]))

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest loss over the seeds."""
        losses = [trial.last_loss for trial in self.trials]
        return min(losses), max(losses)

    @property
    def first_loss(self) -> float:
        """Median over seeds of the loss before training."""
        return float(np.median([trial.first_loss for trial in self.trials]))


def status_of(before: float, after: float, diverged: bool) -> str:
    """ok, diverged or stalled from the loss on the same batches before and after."""
    if diverged or not math.isfinite(after):
        return "diverged"
    return "ok" if before - after > LEARNED * abs(before) else "stalled"


def by_rate(trials: Sequence[Trial]) -> list[Rate]:
    """The trials grouped by rate, lowest first."""
    rates = sorted({trial.lr for trial in trials})
    return [Rate(lr, tuple(trial for trial in trials if trial.lr == lr)) for lr in rates]


def rate_matters(trials: Sequence[Trial]) -> bool:
    """Whether different rates gave different losses; taken to be so where nothing moved or each seed has one rate."""
    if not any(trial.status == "ok" for trial in trials):
        return True
    by_seed: dict[int, list[float]] = {}
    for trial in trials:
        by_seed.setdefault(trial.seed, []).append(trial.last_loss)
    several = [losses for losses in by_seed.values() if len(losses) > 1]
    return not several or not all(_alike(losses) for losses in several)


def _alike(losses: Sequence[float]) -> bool:
    return all(math.isfinite(loss) for loss in losses) and max(losses) - min(losses) <= ALIKE * abs(losses[0])


def worth_prolonging(trials: Sequence[Trial]) -> list[float]:
    """The best rate so far and those below it that longer trials may find better: the lower one is often the slower."""
    rates = by_rate(trials)
    learning = [rate for rate in rates if rate.status == "ok"]
    if not learning or not rate_matters(trials):
        return []
    best = min(learning, key=lambda rate: rate.loss)
    return [rate.lr for rate in rates if rate.lr <= best.lr and rate.status != "diverged"][-PROLONGED:]


def suggestion_of(trials: Sequence[Trial], longer: Sequence[Trial] = ()) -> Suggestion:
    """The rate to take; none where the rate has no effect.

    Of the rates whose loss is close to the best one's (within the spread over seeds or 5 % of the gain), the middle
    one: the lowest loss of a short trial stands often right beside the cliff. Where some were trained for `longer`,
    one of those: what is ahead after a few steps need not stay so.
    """
    rates, further = by_rate(trials), {rate.lr: rate for rate in by_rate(longer)}
    failing = {rate.lr for rate in further.values() if rate.status != "ok"}
    learning = [rate for rate in rates if rate.status == "ok"]
    if not learning:
        return Suggestion(None, None, None, _why_none(rates))
    learning = [rate for rate in learning if rate.lr not in failing] or learning
    if not rate_matters(trials):
        return Suggestion(None, None, None, _why_any(rates))
    best = min(learning, key=lambda rate: rate.loss)
    chosen = _steady(learning, best)
    good = [rate.lr for rate in learning if _gain(rate) >= HALF * _gain(best)]
    lasting = [rate for rate in further.values() if rate.status == "ok"]
    if lasting:
        best = min(lasting, key=lambda rate: rate.loss)
        chosen = _steady(lasting, best)
    good.append(chosen.lr)
    burst = [further.get(rate.lr, rate) if rate.status == "ok" else rate for rate in rates]
    return Suggestion(chosen.lr, min(good), max(good), _why(burst, chosen, best))


def _gain(rate: Rate) -> float:
    return rate.first_loss - rate.loss


def _steady(learning: Sequence[Rate], best: Rate) -> Rate:
    reach = max(CLOSE * _gain(best), best.spread[1] - best.loss)
    close = [rate for rate in learning if rate.loss <= best.loss + reach and rate.lr <= best.lr]
    return close[len(close) // 2]


def _why(rates: Sequence[Rate], chosen: Rate, best: Rate) -> str:
    steps = max(trial.steps for trial in chosen.trials)
    text = f"at {chosen.lr:.2g} the loss falls from {chosen.first_loss:.3g} to {chosen.loss:.3g} in {steps} steps"
    if len(chosen.trials) > 1:
        text += f" ({chosen.spread[0]:.3g} to {chosen.spread[1]:.3g} over {len(chosen.trials)} seeds)"
    if best is not chosen:
        text += f"; {best.lr:.2g} reaches {best.loss:.3g} but stands closer to the edge"
    return text + _edges(rates, best)


def _why_none(rates: Sequence[Rate]) -> str:
    burst = [rate.lr for rate in rates if rate.status == "diverged"]
    still = [rate.lr for rate in rates if rate.status == "stalled"]
    steps = max(trial.steps for rate in rates for trial in rate.trials)
    parts = [f"none of {len(rates)} rates learns in {steps} steps"]
    parts += [f"{max(still):.2g} and below hardly move the loss"] if still else []
    parts += [f"{min(burst):.2g} and above diverge"] if burst else []
    return "; ".join(parts)


def _why_any(rates: Sequence[Rate]) -> str:
    return (
        f"the rate has no effect on this target: all {len(rates)} rates from {rates[0].lr:.2g} to {rates[-1].lr:.2g} "
        f"give the same losses ({rates[0].first_loss:.3g}, then {rates[0].loss:.3g}); its train_step probably steps "
        "with an optimizer of its own instead of the one it is given"
    )


def _edges(rates: Sequence[Rate], best: Rate) -> str:
    burst = [rate.lr for rate in rates if rate.status == "diverged" and rate.lr > best.lr]
    still = [rate.lr for rate in rates if rate.status == "stalled" and rate.lr < best.lr]
    text = f"; {min(burst):.2g} and above diverge" if burst else ""
    text += f"; {max(still):.2g} and below hardly move" if still else ""
    if best.lr in (rates[0].lr, rates[-1].lr):
        text += (
            f"; the best rate lies at the edge of the range, look further {'up' if best.lr == rates[-1].lr else 'down'}"
        )
    return text
