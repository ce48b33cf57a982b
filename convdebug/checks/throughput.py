"""Where a step's time goes: waiting for data, moving it, forward, backward, optimizer."""

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from convdebug.batches import call_model, split_batch, to_device
from convdebug.checks.bench import Bench, Outcome
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import refuse
from convdebug.instruments.opening import accelerators
from convdebug.learner import Learner
from convdebug.search.short_training import learner_of, seed_all

STEPS = 60
LEAST_STEPS = 5
WARM_UP = 1
PHASES = ("data", "transfer", "forward", "backward", "optimizer")
WHOLE = ("data", "transfer", "step")
"""What can be told apart where the target's own `train_step`, or a closure, does the rest."""


class Stopwatch:
    """Seconds from lap to lap; on CUDA each lap waits for the device, so that its work counts where it belongs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        before, self._last = self._last, time.perf_counter()
        return self._last - before


def run(bench: Bench) -> Outcome:
    """Time the phases of some tens of ordinary steps and ask the rules of throughput."""
    seed_all(bench.seed)
    learner = learner_of(bench.target, bench.target.build(bench.seed), bench.device)
    whole_steps = bench.target.train_step is not None or isinstance(learner.optimizer, torch.optim.LBFGS)
    phases = WHOLE if whole_steps else PHASES
    bench.run.update_info(device=str(bench.device), accelerators=accelerators())
    rows = _timed(bench, learner, phases)
    if not math.isfinite(float(learner.loss)):
        batches = list(itertools.islice(_endless(bench), len(rows) + WARM_UP))
        refuse(bench, f"the loss is {float(learner.loss)} after {len(rows)} steps", batches, steps=len(batches))
    seconds = {phase: float(value) for phase, value in zip(phases, np.median(rows, axis=0), strict=True)}
    whole = sum(seconds.values())
    measured = {
        "device": str(bench.device),
        "steps": len(rows),
        "step_ms": 1000 * whole,
        "examples_per_second": bench.target.batch_size / whole,
        "waiting_for_data": seconds["data"] / whole,
        "milliseconds": {phase: 1000 * value for phase, value in seconds.items()},
    }
    chart = Chart("milliseconds", {"": [1000 * value for value in seconds.values()]}, names=phases, bars=True)
    bench.run.event("chart", None, **chart.as_json())
    diagnoses = bench.ask_rules("data-bound", "device-idle")
    return Outcome(_summary(measured, seconds), measured, {"waiting_for_data": 0.0}, diagnoses)


def _timed(bench: Bench, learner: Learner, phases: tuple[str, ...]) -> np.ndarray:
    """(steps, phases) seconds without the first steps; recorded as `time/<phase>` as well."""
    group = bench.run.group(tuple(f"time/{phase}" for phase in phases))
    rows: list[list[float]] = []
    batches, watch = _endless(bench), Stopwatch(bench.device)
    for step in range(STEPS + WARM_UP):
        batch = next(batches)
        row = [watch.lap()]
        batch = to_device(batch, bench.device)
        row.append(watch.lap())
        row += _own_step(learner, batch, watch) if phases is WHOLE else _plain_step(learner, batch, watch)
        if step >= WARM_UP:
            rows.append(row)
            group.append(step - WARM_UP, row)
        bench.progress(step, STEPS, f"{1000 * sum(row):.1f} ms a step")
        watch.lap()
        if bench.time_left < 0 and len(rows) >= LEAST_STEPS:
            break
    return np.array(rows)


def _endless(bench: Bench) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from bench.target.batches("train", bench.seed, epoch)
        epoch += 1


def _plain_step(learner: Learner, batch: Any, watch: Stopwatch) -> list[float]:
    inputs, labels = split_batch(batch)
    learner.optimizer.zero_grad(set_to_none=True)
    loss, _, _ = learner.target.total_loss(learner.model, call_model(learner.model, inputs), labels)
    taken = [watch.lap()]
    loss.backward()
    learner.loss = loss.detach()
    taken.append(watch.lap())
    learner.optimizer.step()
    return [*taken, watch.lap()]


def _own_step(learner: Learner, batch: Any, watch: Stopwatch) -> list[float]:
    learner.step(batch)
    return [watch.lap()]


def _summary(measured: dict[str, Any], seconds: dict[str, float]) -> str:
    shares = ", ".join(f"{phase} {value / sum(seconds.values()):.0%}" for phase, value in seconds.items())
    return (
        f"a step takes {measured['step_ms']:.3g} ms on {measured['device']} "
        f"({measured['examples_per_second']:.0f} examples a second): {shares}"
    )
