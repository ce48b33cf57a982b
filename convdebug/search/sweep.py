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
from convdebug.search.rates import Suggestion, Trial, rate_matters, status_of, suggestion_of, worth_prolonging
from convdebug.search.short_training import held_batches, isolated, learner_of, mean_loss, rate_of, seed_all
from convdebug.target import Target
from convdebug_sessions import Recorder, RunRecorder

LOW, HIGH = 1e-6, 10.0
RATES, SEEDS, STEPS = 15, 3, 100
BUDGET_S = 60.0
ENOUGH_STEPS = 40
"""Fewer, and a network that starts slowly looks like one that cannot learn."""
LONGER = 4
"""So many times the steps of the other trials have, at most, those that decide between rates that learn."""
_FEWEST_STEPS = 8
_BLOWN = 3.0
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Which rates, how many seeds and steps, and how large a batch.

    With `first`, those are tried first, then what lies beside a rate that learns, and further seeds of those alone;
    without it every rate is tried from every seed.
    """

    rates: tuple[float, ...]
    seeds: int
    steps: int
    batch_size: int
    first: tuple[float, ...] = ()

    @property
    def tail(self) -> int:
        """The steps at the end over which the loss of a trial is averaged."""
        return min(max(3, self.steps // 4), 10, self.steps)

    @property
    def expected_trials(self) -> int:
        """With `first` a guess: about four rates learn or stand beside one that does."""
        return len(self.first) + 4 * self.seeds if self.first else len(self.rates) * self.seeds


@dataclass(frozen=True)
class SweepResult:
    """The trials in the order they ran, what they suggest, and how they were made.

    `longer` are those of a few rates for more steps, in what time was left: they decide among rates that learn.
    """

    run: int
    trials: list[Trial]
    suggestion: Suggestion
    plan: Plan
    seconds: float = field(default=0.0, compare=False)
    longer: list[Trial] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The document of `convdebug sweep --json`, without the session's name."""
        return {
            "trials": [trial.as_json() for trial in self.trials],
            "longer": [trial.as_json() for trial in self.longer],
            "suggestion": self.suggestion.as_json(),
        }


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

    With neither count nor seeds the rates that matter are searched for, coarse to fine, in `budget_s` seconds (by
    default a minute); with either, every rate is tried from every seed. Without steps they are fitted to that time, and
    where rates are searched for, what is left of it goes to longer trials of the best and those below it.
    Each trial is a run of kind `trial`
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
            plan = sweep.prepare(_plan(low, high, count, also, seeds), steps, budget_s)
            searching = steps is None and bool(plan.first)
            deadline = began + (budget_s or (BUDGET_S if searching else math.inf))
            trials = sweep.trials(plan, deadline)
            longer = sweep.longer(plan, trials, deadline) if searching else []
    except BaseException as error:
        if own:
            _end_early(own, error)
        raise
    suggestion = suggestion_of(trials, longer)
    result = SweepResult(sweep.parent, trials, suggestion, plan, time.perf_counter() - began, longer)
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


def _plan(low: float, high: float, count: int | None, also: Sequence[float], seeds: int | None) -> Plan:
    """All that may be tried, before it is fitted to the time there is."""
    spaced = tuple(float(f"{rate:.4g}") for rate in np.geomspace(low, high, count or RATES))
    extra = tuple(rate for rate in also if rate > 0)
    searching = count is None and seeds is None
    first = (*spaced[::2], *extra) if searching else ()
    return Plan(tuple(sorted({*spaced, *extra})), seeds or SEEDS, STEPS, 1, tuple(sorted(set(first))))


def _both(run: RunRecorder | None, on_progress: Tell | None) -> Tell:
    def tell(done: int, total: int, text: str) -> None:
        if run is not None:
            run.event("progress", None, done=done, total=total, text=text)
        if on_progress is not None:
            on_progress(done, total, text)

    return tell


def fit(plan: Plan, step_s: float, budget_s: float) -> Plan:
    """The plan that fits a budget: fewer seeds first, then a smaller batch, then fewer steps.

    A plan that tries every rate from every seed keeps its seeds. About a fifth of the trials end early.
    """

    def affordable(candidate: Plan) -> int:
        cost = step_s * candidate.batch_size / plan.batch_size * candidate.expected_trials
        return int(1.2 * budget_s / max(cost, 1e-9))

    candidates = list(_candidates(plan))
    fitting = next((one for one in candidates if affordable(one) >= ENOUGH_STEPS), candidates[-1])
    return replace(fitting, steps=min(STEPS, max(_FEWEST_STEPS, affordable(fitting))))


def _candidates(plan: Plan) -> Iterator[Plan]:
    yield plan
    if plan.first:
        plan = replace(plan, seeds=2)
        yield plan
    while plan.batch_size > 32:
        plan = replace(plan, batch_size=max(32, plan.batch_size // 2))
        yield plan


def _trials_to_make(plan: Plan, done: Sequence[Trial]) -> Iterator[tuple[int, float]]:
    """(seed, rate) in their order; what comes later depends on what has been `done` by then."""
    yield from ((0, rate) for rate in plan.first or plan.rates)
    again: Sequence[float] = plan.rates
    if plan.first:
        yield from ((0, rate) for rate in _beside_learning(plan.rates, done, new=True))
        again = _beside_learning(sorted({trial.lr for trial in done}), done, new=False)
    for seed in range(1, plan.seeds):
        yield from ((seed, rate) for rate in again)


def _beside_learning(rates: Sequence[float], done: Sequence[Trial], new: bool) -> list[float]:
    """Those that learn or stand beside one that does; where none learns, all. `new`: only what was not tried yet."""
    learning = {trial.lr for trial in done if trial.status == "ok"}
    tried = {trial.lr for trial in done} if new else set()
    near = [
        rate for place, rate in enumerate(rates) if not learning or learning & set(rates[max(place - 1, 0) : place + 2])
    ]
    return [rate for rate in near if rate not in tried]


def _enough(plan: Plan, done: Sequence[Trial], deadline: float) -> bool:
    """The time is up; or rates are searched for, and those tried are all the same."""
    return time.perf_counter() > deadline or (bool(plan.first) and not rate_matters(done))


class _Sweep:
    """The weights and batches that all trials share."""

    def __init__(self, target: Target, recorder: Recorder, parent: int, device: torch.device, tell: Tell) -> None:
        self.target, self.recorder, self.parent, self.device, self.tell = target, recorder, parent, device, tell
        self.pool: list[Any] = []
        self._steps, self._seconds = 0, 0.0

    def prepare(self, plan: Plan, steps: int | None, budget_s: float | None) -> Plan:
        """Measure a step, fit the plan to the budget, fetch the batches once."""
        plan = replace(plan, batch_size=self.target.batch_size or 1)
        self.pool = held_batches(self.target, 2, self.device)
        step_s = self._step_seconds()
        if steps is None:
            plan = fit(plan, step_s, (budget_s or BUDGET_S) * 0.9)
        plan = replace(plan, steps=steps or plan.steps)
        self.pool = held_batches(self.target, plan.steps, self.device, batch_size=plan.batch_size)
        return plan

    def trials(self, plan: Plan, deadline: float) -> list[Trial]:
        """All rates from the first seed, then from the next: the curve comes first, its spread after it."""
        done: list[Trial] = []
        now = -1
        for seed, rate in _trials_to_make(plan, done):
            if len(done) >= len(plan.first or plan.rates) and _enough(plan, done, deadline):
                break
            if seed != now:
                now = seed
                weights, batches = self._start(seed, plan)
                before = self._before(weights, batches[-plan.tail :], seed)
            done.append(self._trial(weights, batches, rate, seed, before, plan))
            total = max(plan.expected_trials, len(done))
            self.tell(len(done), total, f"rate {rate:.2g}, seed {seed}: {done[-1].status}")
        return done

    def longer(self, plan: Plan, done: list[Trial], deadline: float) -> list[Trial]:
        """The best rate and those below it for as many more steps as there is time for, from up to two seeds."""
        rates = worth_prolonging(done)
        if len(rates) < 2 or not self._steps:
            return []
        affordable = (deadline - time.perf_counter()) / (self._seconds / self._steps * len(rates))
        seeds = 2 if plan.seeds > 1 and affordable >= 2 * 2 * plan.steps else 1
        steps = min(LONGER * plan.steps, int(affordable / seeds))
        if steps < 2 * plan.steps:
            return []
        self.pool = held_batches(self.target, steps, self.device, batch_size=plan.batch_size)
        found: list[Trial] = []
        prolonged = replace(plan, steps=steps)
        for seed in range(seeds):
            weights, batches = self._start(seed, prolonged)
            before = self._before(weights, batches[-prolonged.tail :], seed)
            for rate in rates:
                found.append(self._trial(weights, batches, rate, seed, before, prolonged, longer=True))
                total = len(done) + len(rates) * seeds
                self.tell(len(done) + len(found), total, f"rate {rate:.2g}, {steps} steps: {found[-1].status}")
        return found

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
        self,
        weights: nn.Module,
        batches: Sequence[Any],
        rate: float,
        seed: int,
        before: float,
        plan: Plan,
        longer: bool = False,
    ) -> Trial:
        began = time.perf_counter()
        run = self.recorder.start_run(
            "trial",
            f"rate {rate:.3g}, seed {seed}" + (f", {plan.steps} steps" if longer else ""),
            config=self._config(rate, seed),
            info={"longer": True} if longer else None,
            parent=self.parent,
        )
        group = run.group(("train/loss", "train/lr"))
        losses = []
        for step, loss in enumerate(self._losses(weights, batches, rate, seed)):
            group.append(step, (loss, rate))
            losses.append(loss)
            if _blown(losses, before):
                break
        self._steps, self._seconds = self._steps + len(losses), self._seconds + time.perf_counter() - began
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
