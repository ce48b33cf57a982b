"""The learning-rate sweep: short trainings from the same weights on the same batches, one for each rate and seed."""

import copy
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from convdebug.devices import choose_device
from convdebug.errors import UserError
from convdebug.learner import Learner
from convdebug.search.rates import Suggestion, Trial, status_of, suggestion_of
from convdebug.search.short_training import held_batches, isolated, learner_of, mean_loss, rate_of, seed_all
from convdebug.target import Target
from convdebug_sessions import Recorder, RunRecorder

LOW, HIGH = 1e-6, 10.0
RATES, SEEDS, STEPS = 15, 3, 100
BUDGET_S = 60.0
_FEWEST_STEPS = 16
_BLOWN = 3.0
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """How many rates, seeds and steps, and how large a batch."""

    rates: tuple[float, ...]
    seeds: int
    steps: int
    batch_size: int

    @property
    def tail(self) -> int:
        """The steps at the end over which the loss of a trial is averaged."""
        return min(max(3, self.steps // 4), 10, self.steps)


@dataclass(frozen=True)
class SweepResult:
    """The trials in the order they ran, what they suggest, and how they were made."""

    run: int
    trials: list[Trial]
    suggestion: Suggestion
    plan: Plan
    seconds: float = field(default=0.0, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The document of `convdebug sweep --json`, without the session's name."""
        return {"trials": [trial.as_json() for trial in self.trials], "suggestion": self.suggestion.as_json()}


def lr_sweep(
    target: Target,
    recorder: Recorder,
    low: float = LOW,
    high: float = HIGH,
    count: int | None = None,
    steps: int | None = None,
    seeds: int | None = None,
    parent: int | None = None,
    *,
    also: Sequence[float] = (),
    device: str = "cpu",
    budget_s: float | None = None,
    on_progress: Tell | None = None,
) -> SweepResult:
    """Train shortly at `count` log-spaced rates from `low` to `high` (and at those of `also`) from each seed.

    What is not given (count, steps, seeds) is fitted to `budget_s` seconds. Each trial is a run of kind `trial`
    under `parent`, or under a run of kind `sweep` that is made for it. UserError for an impossible range.
    """
    check_range(low, high, count, steps, seeds)
    place = choose_device(device)
    require_rate(target)
    own = (
        recorder.start_run("sweep", "lr-sweep", info={"target": target.name, "device": device})
        if parent is None
        else None
    )
    sweep = _Sweep(target, recorder, own.id if own else int(parent or 0), place, _both(own, on_progress))
    began = time.perf_counter()
    try:
        with isolated():
            plan = sweep.prepare(_rates(low, high, count, also), count, steps, seeds, budget_s)
            trials = sweep.trials(plan, began + (budget_s or math.inf))
    except BaseException as error:
        if own:
            _end_early(own, error)
        raise
    result = SweepResult(sweep.parent, trials, suggestion_of(trials), plan, time.perf_counter() - began)
    if own:
        own.event("sweep", None, **result.as_json())
        own.finish()
    return result


def _end_early(run: RunRecorder, error: BaseException) -> None:
    if not isinstance(error, Exception):
        run.finish("stopped", "interrupted")
        return
    kind = type(error).__name__
    run.event("crash", None, type=kind, message=str(error), traceback="".join(traceback.format_exception(error)))
    run.finish("crashed", f"{kind}: {error}")


def check_range(low: float, high: float, count: int | None, steps: int | None, seeds: int | None) -> None:
    """UserError in one line for what cannot be swept."""
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise UserError(f"--lr {low:g}:{high:g} is not a range: two positive numbers are needed, the lower one first")
    for name, value, least in (("--count", count, 2), ("--steps", steps, 1), ("--seeds", seeds, 1)):
        if value is not None and value < least:
            raise UserError(f"{name} {value} is too small: at least {least}")


def require_rate(target: Target) -> None:
    """UserError for an optimizer that has no rate to vary."""
    with isolated():
        optimizer = target.optimizer(target.build(0))
    if rate_of(optimizer) is None:
        raise UserError(f"{type(optimizer).__name__} has no learning rate to sweep")


def _rates(low: float, high: float, count: int | None, also: Sequence[float]) -> tuple[float, ...]:
    spaced = np.geomspace(low, high, count or RATES).tolist()
    return tuple(sorted({float(f"{rate:.4g}") for rate in spaced} | {rate for rate in also if rate > 0}))


def _both(run: RunRecorder | None, on_progress: Tell | None) -> Tell:
    def tell(done: int, total: int, text: str) -> None:
        if run is not None:
            run.event("progress", None, done=done, total=total, text=text)
        if on_progress is not None:
            on_progress(done, total, text)

    return tell


def fit(plan: Plan, step_s: float, budget_s: float, fixed: tuple[int | None, int | None, int | None]) -> Plan:
    """The plan that fits a budget: fewer steps first, then seeds, then rates, then a smaller batch.

    `fixed` holds (count, steps, seeds) where the user gave them. About a fifth of the trials end early.
    """
    count, steps, seeds = fixed

    def affordable(candidate: Plan) -> int:
        cost = step_s * candidate.batch_size / plan.batch_size * len(candidate.rates) * candidate.seeds
        return int(1.2 * budget_s / max(cost, 1e-9))

    candidates = list(_candidates(plan, count, seeds))
    fitting = next((one for one in candidates if affordable(one) >= _FEWEST_STEPS), candidates[-1])
    return replace(fitting, steps=steps or min(STEPS, max(_FEWEST_STEPS // 2, affordable(fitting))))


def _candidates(plan: Plan, count: int | None, seeds: int | None) -> Iterator[Plan]:
    yield plan
    if seeds is None:
        plan = replace(plan, seeds=2)
        yield plan
    if count is None:
        plan = replace(plan, rates=_every_other(plan.rates))
        yield plan
    while plan.batch_size > 32:
        plan = replace(plan, batch_size=max(32, plan.batch_size // 2))
        yield plan


def _every_other(rates: tuple[float, ...]) -> tuple[float, ...]:
    return rates[::2] if len(rates) % 2 else (*rates[:-1:2], rates[-1])


class _Sweep:
    """The weights and batches that all trials share."""

    def __init__(self, target: Target, recorder: Recorder, parent: int, device: torch.device, tell: Tell) -> None:
        self.target, self.recorder, self.parent, self.device, self.tell = target, recorder, parent, device, tell
        self.pool: list[Any] = []

    def prepare(
        self, rates: tuple[float, ...], count: int | None, steps: int | None, seeds: int | None, budget_s: float | None
    ) -> Plan:
        """Measure a step, fit the plan to the budget, fetch the batches once."""
        plan = Plan(rates, seeds or SEEDS, steps or STEPS, self.target.batch_size or 1)
        self.pool = held_batches(self.target, 2, self.device)
        step_s = self._step_seconds()
        if budget_s is not None or steps is None:
            plan = fit(plan, step_s, (budget_s or BUDGET_S) * 0.9, (count, steps, seeds))
        self.pool = held_batches(self.target, plan.steps, self.device, batch_size=plan.batch_size)
        return plan

    def trials(self, plan: Plan, deadline: float) -> list[Trial]:
        """All rates from the first seed, then from the next: the curve comes first, its spread after it."""
        done: list[Trial] = []
        total = plan.seeds * len(plan.rates)
        for seed in range(plan.seeds):
            weights, batches = self._start(seed, plan)
            before = self._before(weights, batches[-plan.tail :], seed)
            for rate in plan.rates:
                if seed and time.perf_counter() > deadline:
                    return done
                done.append(self._trial(weights, batches, rate, seed, before, plan))
                self.tell(len(done), total, f"rate {rate:.2g}, seed {seed}: {done[-1].status}")
        return done

    def _start(self, seed: int, plan: Plan) -> tuple[nn.Module, list[Any]]:
        order = np.random.default_rng(seed).permutation(len(self.pool))
        return self.target.build(seed), [self.pool[order[step % len(order)]] for step in range(plan.steps)]

    def _before(self, weights: nn.Module, batches: Sequence[Any], seed: int) -> float:
        """The loss of fresh weights; a target's own train_step tells it at a rate of 0."""
        if self.target.train_step is None:
            return mean_loss(self._learner(weights, 1.0, seed), batches)
        return float(np.mean(list(self._losses(weights, batches, 0.0, seed))))

    def _learner(self, weights: nn.Module, rate: float, seed: int) -> Learner:
        seed_all(seed)
        return learner_of(self.target, copy.deepcopy(weights), self.device, rate)

    def _step_seconds(self) -> float:
        learner = self._learner(self.target.build(0), 1e-9, 0)
        times = []
        for batch in [*self.pool, *self.pool]:
            began = time.perf_counter()
            learner.step(batch)
            times.append(time.perf_counter() - began)
        return float(np.median(times[1:]))

    def _trial(
        self, weights: nn.Module, batches: Sequence[Any], rate: float, seed: int, before: float, plan: Plan
    ) -> Trial:
        run = self.recorder.start_run(
            "trial", f"rate {rate:.3g}, seed {seed}", config=self._config(rate, seed), parent=self.parent
        )
        group = run.group(("train/loss", "train/lr"))
        losses = []
        for step, loss in enumerate(self._losses(weights, batches, rate, seed)):
            group.append(step, (loss, rate))
            losses.append(loss)
            if _blown(losses, before):
                break
        return self._ended(run, rate, seed, before, losses, plan)

    def _losses(self, weights: nn.Module, batches: Sequence[Any], rate: float, seed: int) -> Iterator[float]:
        learner = self._learner(weights, rate, seed)
        for batch in batches:
            learner.step(batch)
            yield float(learner.loss)

    def _ended(self, run: RunRecorder, rate: float, seed: int, before: float, losses: list[float], plan: Plan) -> Trial:
        blown = _blown(losses, before)
        after = float(np.mean(losses[-plan.tail :])) if not blown else losses[-1]
        status = status_of(before, after, blown)
        if status == "diverged":
            run.finish(
                "stopped", f"diverged: the loss is {losses[-1]:.3g} at step {len(losses) - 1}, it began at {before:.3g}"
            )
        else:
            run.finish()
        return Trial(rate, seed, status, before, after, len(losses), run.id)

    def _config(self, rate: float, seed: int) -> dict[str, Any]:
        changes = {"optimizer.lr": rate, "train.seed": seed}
        if self.target.config is not None:
            return self.target.config.changed(**changes).model_dump()
        return {"optimizer": {"lr": rate}, "train": {"seed": seed}}


def _blown(losses: Sequence[float], before: float) -> bool:
    """Not finite, far above three times the first loss, or above it for three steps on end (lecture: 3 × original)."""
    if not math.isfinite(losses[-1]):
        return True
    limit = _BLOWN * abs(before)
    return losses[-1] > 10 * limit or (len(losses) >= 3 and min(losses[-3:]) > limit)
