"""Which learning rates do nothing, learn, diverge; and where among them the target's own rate stands."""

import math
from collections.abc import Sequence

from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.not_finite import refuse
from convdebug.search.rates import Rate, by_rate, rate_matters
from convdebug.search.short_training import held_batches, isolated, rate_of
from convdebug.search.sweep import ENOUGH_STEPS, HIGH, LOW, SweepResult, lr_sweep
from convdebug_sessions import Diagnosis, Remedy


def run(bench: Bench) -> Outcome:
    """Sweep within the check's time, the target's own rate among the others, and judge that."""
    own = _own_rate(bench)
    result = lr_sweep(
        bench.target,
        bench.recorder,
        LOW,
        HIGH,
        parent=bench.run.id,
        also=(own,),
        device=str(bench.device),
        budget_s=bench.seconds,
        on_progress=bench.progress,
    )
    bench.run.event("sweep", None, **result.as_json())
    _require_numbers(bench, result)
    if result.suggestion.lr is None and result.plan.steps < ENOUGH_STEPS:
        raise Skipped(
            f"in the time there is each of {len(by_rate(result.trials))} rates had {result.plan.steps} steps and none "
            f"brought the loss down: too few to tell (more time for the checks, --budget, gives more)"
        )
    rates = by_rate(result.trials)
    if not rate_matters(result.trials):
        raise Skipped(result.suggestion.why)
    measured = result.as_json() | {"own_rate": own, "steps": result.plan.steps, "batch_size": result.plan.batch_size}
    return Outcome(_summary(result, rates, own), measured, _expected(result), _diagnoses(bench, result, rates, own))


def _require_numbers(bench: Bench, result: SweepResult) -> None:
    """Where even the lowest rate comes to a loss that is no number, no rate is to blame."""
    lowest = min(result.trials, key=lambda trial: (trial.lr, trial.seed))
    if math.isfinite(lowest.first_loss) and math.isfinite(lowest.last_loss):
        return
    batches = held_batches(bench.target, max(result.plan.steps, 1), bench.device, batch_size=result.plan.batch_size)
    if not math.isfinite(lowest.first_loss):
        refuse(bench, f"the loss is {lowest.first_loss} before any update", batches, steps=len(batches), standing=True)
    reason = f"the loss is {lowest.last_loss} after {lowest.steps - 1} updates at the lowest rate ({lowest.lr:.2g})"
    refuse(bench, reason, batches, steps=result.plan.steps, lr=lowest.lr)


def _own_rate(bench: Bench) -> float:
    with isolated():
        optimizer = bench.target.optimizer(bench.target.build(bench.seed))
    rate = rate_of(optimizer)
    if rate is None:
        raise Skipped(f"{type(optimizer).__name__} has no learning rate")
    return rate


def _expected(result: SweepResult) -> dict[str, float | None]:
    return {"low": result.suggestion.low, "high": result.suggestion.high}


def _summary(result: SweepResult, rates: Sequence[Rate], own: float) -> str:
    suggestion, plan = result.suggestion, result.plan
    seeds = 1 + max(trial.seed for trial in result.trials)
    tested = f"{len(rates)} rates, up to {seeds} seeds, {plan.steps} steps each"
    if suggestion.lr is None:
        return f"{suggestion.why} ({tested})"
    status = {rate.lr: rate.status for rate in by_rate([*result.trials, *result.longer])}.get(own)
    word = {"ok": "learns", "diverged": "diverges", "stalled": "hardly moves the loss"}.get(str(status), "is 0")
    alone = suggestion.low == suggestion.high
    well = f"{suggestion.lr:.2g} alone learns" if alone else f"{suggestion.low:.2g} to {suggestion.high:.2g} learn"
    return (
        f"of the rates {well} well, {suggestion.lr:.2g} is suggested: {suggestion.why}; "
        f"the target's own {own:.3g} {word} ({tested})"
    )


def _diagnoses(bench: Bench, result: SweepResult, rates: Sequence[Rate], own: float) -> list[Diagnosis]:
    mine = next((rate for rate in by_rate([*result.trials, *result.longer]) if rate.lr == own), None)
    if result.suggestion.lr is None:
        return [_none_learns(bench, result, rates)]
    if mine is None:
        return [_zero(bench, result)] if own == 0 else []
    if mine.status == "diverged":
        return [_too_high(bench, result, mine)]
    if mine.status == "stalled":
        return [_stalled(bench, result, mine)]
    return []


def _suggested(bench: Bench, result: SweepResult, words: str) -> Remedy:
    lr = result.suggestion.lr
    change = {"optimizer.lr": lr} if bench.target.config is not None else None
    return Remedy(f"{words} to about {lr:.2g}.", change)


def _too_high(bench: Bench, result: SweepResult, mine: Rate) -> Diagnosis:
    burst = [trial for trial in mine.trials if trial.status == "diverged"]
    everywhere = len(burst) == len(mine.trials)
    return bench.finding(
        "learning-rate-too-high",
        "error" if everywhere else "warning",
        f"At the target's own rate {mine.lr:.3g} {len(burst)} of {len(mine.trials)} trials diverge: the loss goes from "
        f"{burst[0].first_loss:.4g} to {burst[0].last_loss:.4g} within {burst[0].steps} steps. "
        f"Rates up to {result.suggestion.high:.2g} learn.",
        steps=(0, max(trial.steps for trial in burst) - 1),
        evidence={"learning_rate": mine.lr, "first_loss": burst[0].first_loss, "last_loss": burst[0].last_loss},
        remedies=[_suggested(bench, result, "Lower the learning rate")],
    )


def _stalled(bench: Bench, result: SweepResult, mine: Rate) -> Diagnosis:
    """Below the learning rates it is too low; above them it learns nothing because it is too high."""
    evidence = {"learning_rate": mine.lr, "first_loss": mine.first_loss, "last_loss": mine.loss}
    high = result.suggestion.high or math.inf
    if mine.lr > high:
        return bench.finding(
            "learning-rate-too-high",
            "error",
            f"At the target's own rate {mine.lr:.3g} nothing is learned (loss {mine.first_loss:.4g}, then "
            f"{mine.loss:.4g}); rates up to {high:.2g} learn: the steps are too large.",
            evidence=evidence,
            remedies=[_suggested(bench, result, "Lower the learning rate")],
        )
    return bench.finding(
        "learning-rate-too-low",
        "warning",
        f"At the target's own rate {mine.lr:.3g} the loss hardly moves in {mine.trials[0].steps} steps "
        f"({mine.first_loss:.4f}, then {mine.loss:.4f}); rates from {result.suggestion.low:.2g} on learn.",
        steps=(0, mine.trials[0].steps - 1),
        evidence=evidence,
        remedies=[_suggested(bench, result, "Raise the learning rate")],
    )


def _zero(bench: Bench, result: SweepResult) -> Diagnosis:
    return bench.finding(
        "learning-rate-zero",
        "error",
        "The target's own learning rate is 0: no step changes anything.",
        evidence={"learning_rate": 0.0},
        remedies=[_suggested(bench, result, "Raise the learning rate")],
    )


def _none_learns(bench: Bench, result: SweepResult, rates: Sequence[Rate]) -> Diagnosis:
    first = next((rate.first_loss for rate in rates if math.isfinite(rate.first_loss)), math.nan)
    return bench.finding(
        "loss-not-decreasing",
        "error",
        f"No rate from {rates[0].lr:.2g} to {rates[-1].lr:.2g} brings the loss (at first {first:.4g}) down by 1 % "
        f"in {result.plan.steps} steps: the rate is not what is wrong.",
        steps=(0, result.plan.steps - 1),
        evidence={"first_loss": first, "rates": float(len(rates))},
        remedies=[
            Remedy("Look at what the checks before this one say: data, first loss, gradients, 20 examples."),
            Remedy("If the network starts slowly (very small weights), sweep with more steps."),
        ],
    )
