"""The step waits for its data."""

import numpy as np

from convdebug.rules.facts import Curve, Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import trains_beside_another
from convdebug_sessions import Remedy

SHARE = 0.5  # a sick loop had 0.85, healthy ones at most 0.18
WORTH_IT_S = 0.01  # a step; below, nobody waits
PERSISTENT_ROWS = 20
FEW_ROWS = 10  # suffice where nine of ten say it
FEWEST_ROWS, STEPS_BY_THE_CLOCK = 3, 20  # suffice where the clock at every step says it too
PERSISTENT_ROWS_OF_A_CHECK = 5  # which times whole steps after a warm-up, with nothing else beside them
PHASES = ("transfer", "forward", "backward", "optimizer", "step", "watch")
AT_WORK = tuple(phase for phase in PHASES if phase != "watch")


def judge(facts: Facts) -> Finding | None:
    """Median share of the waiting time over the last measured steps; not where another network steps in between."""
    if trains_beside_another(facts):
        return None
    waiting = _between_evaluations(facts, facts.curve("time/data"))
    phases = [_between_evaluations(facts, facts.curve(f"time/{phase}")) for phase in PHASES]
    rows = min([len(waiting)] + [len(phase) for phase in phases if len(phase)])
    needed = PERSISTENT_ROWS_OF_A_CHECK if facts.run.kind == "check" else FEW_ROWS
    if not any(len(phase) for phase in phases):
        return None
    if rows < needed:
        return _by_the_clock(facts)
    window = slice(-min(rows, 200), None)
    data = waiting.values[window]
    whole = data + sum(phase.values[window] for phase in phases if len(phase))
    shares = data / np.maximum(whole, 1e-9)
    share = float(np.nanmedian(shares))
    if share < SHARE or np.nanmedian(data) < WORTH_IT_S:
        return None
    if facts.run.kind != "check" and rows < PERSISTENT_ROWS and not _all_say_it(shares):
        return None
    return _waits(waiting.steps[-len(data) :], data, whole, share)


def _by_the_clock(facts: Facts) -> Finding | None:
    """A short run, in which few steps were measured: all of these waited, and the steps between took as long."""
    waiting = _after_the_start(_between_evaluations(facts, facts.curve("time/data")))
    phases = [_after_the_start(_between_evaluations(facts, facts.curve(f"time/{phase}"))) for phase in AT_WORK]
    phases = [phase for phase in phases if len(phase) == len(waiting)]
    whole_steps = _steps_by_the_clock(facts)
    if not phases or len(waiting) < FEWEST_ROWS or len(whole_steps) < STEPS_BY_THE_CLOCK:
        return None
    work = np.sum([phase.values for phase in phases], axis=0)
    usual, busy = float(np.median(whole_steps)), float(np.median(work))
    share = 1 - busy / usual
    each = waiting.values / np.maximum(waiting.values + work, 1e-9)
    if share < SHARE or usual - busy < WORTH_IT_S or not (each >= SHARE).all():
        return None
    return _waits(waiting.steps, waiting.values, waiting.values + work, float(np.median(each)))


def _after_the_start(times: Curve) -> Curve:
    """Without the first step: a script that is not ours may have fetched its batch before the watch began."""
    return Curve(times.steps[times.steps > 0], times.values[times.steps > 0])


def _steps_by_the_clock(facts: Facts) -> np.ndarray:
    """Seconds of each step whose measuring cost nothing: those that were not measured, without evaluations."""
    wall, measured = facts.curve("time/wall"), facts.curve("time/data").steps
    seconds, steps = np.diff(wall.values), wall.steps[1:]
    plain = (np.diff(wall.steps) == 1) & ~np.isin(steps, facts.curve("val/loss").steps + 1)
    return seconds[plain & ~np.isin(steps, measured) & ~np.isin(steps, measured + 1)]


def _waits(steps: np.ndarray, data: np.ndarray, whole: np.ndarray, share: float) -> Finding:
    return Finding(
        "warning",
        f"{share:.0%} of each step is spent waiting for data ({1000 * np.nanmedian(data):.0f} ms of "
        f"{1000 * np.nanmedian(whole):.0f} ms). The network could train {1 / (1 - share):.1f} times as fast.",
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        evidence={
            "share": share,
            "data_seconds": float(np.nanmedian(data)),
            "step_seconds": float(np.nanmedian(whole)),
        },
        remedies=(
            Remedy("Load with several workers (num_workers), or keep the decoded data in memory."),
            Remedy("Move slow transforms to the device, or do them once before the training."),
        ),
    )


def _all_say_it(shares: np.ndarray) -> bool:
    known = shares[np.isfinite(shares)]
    return len(known) >= FEW_ROWS and float(np.quantile(known, 0.1)) >= SHARE


def _between_evaluations(facts: Facts, times: Curve) -> Curve:
    """Without the step after an evaluation, whose time counts as waiting."""
    usual = ~np.isin(times.steps, facts.curve("val/loss").steps + 1)
    return Curve(times.steps[usual], times.values[usual])


RULE = Rule(
    name="data-bound",
    title="Training waits for data",
    group="throughput",
    severities=("warning",),
    meaning="More than half of each step goes by before the batch is there; the device idles meanwhile.",
    causes="One process that reads, decodes and augments; a slow disk; transforms picture by picture in Python.",
    remedies="More workers, a cache, batched transforms, smaller pictures on disk.",
    source=f"Measured: 85 % on a sick loop, at most 18 % on others. Above {SHARE:.0%}, from {1000 * WORTH_IT_S:g} ms a "
    f"step on. In short runs {FEWEST_ROWS} measured steps are enough where {STEPS_BY_THE_CLOCK} others took as long.",
    judge=judge,
)
