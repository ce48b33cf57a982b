"""Does the same seed give the same first steps twice, and if it does not, what differs first?"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from convdebug.batches import split_batch
from convdebug.checks.bench import Bench, Outcome
from convdebug.checks.chart import Chart
from convdebug.checks.fingerprint import fingerprint
from convdebug.checks.not_finite import require_numbers
from convdebug.learner import Learner
from convdebug.search.short_training import learner_of, seed_all

STEPS = 5
LEAST_STEPS = 2
_FIRST_PASS = 0.4  # of the time


@dataclass
class Trace:
    """Fingerprints of everything that a step computes, in the order in which it is computed, and the losses."""

    marks: list[tuple[int, str, int]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def mark(self, what: str, value: Any) -> None:
        """Add what was computed at the present step; nests of tensors count as one."""
        self.marks.append((len(self.losses), what, fingerprint(value)))


def run(bench: Bench) -> Outcome:
    """Two trainings of a few steps from the same seed, compared number by number."""
    first = trace(bench, STEPS, time.perf_counter() + _FIRST_PASS * bench.seconds)
    if not all(map(math.isfinite, first.losses)):
        require_numbers(bench, first.losses, list(itertools.islice(_epochs(bench), len(first.losses))))
    again = trace(bench, len(first.losses), None)
    found = first_difference(first, again)
    measured = {
        "steps": len(first.losses),
        "same": found is None,
        "losses": first.losses,
        "losses_again": again.losses,
        "first_difference": None if found is None else found[1],
        "at_step": None if found is None else found[0],
    }
    bench.run.event("determinism", None, **measured)
    chart = Chart("loss", {"first": first.losses, "again": again.losses}, "step")
    bench.run.event("chart", None, **chart.as_json())
    return Outcome(_summary(measured), measured, {"same": True}, bench.ask_rules("not-deterministic"))


def trace(bench: Bench, steps: int, ends: float | None) -> Trace:
    """The fingerprints of a training of so many steps (or until the clock says `ends`, but two at least)."""
    seed_all(bench.seed)
    learner = learner_of(bench.target, bench.target.build(bench.seed), bench.device)
    found = Trace()
    found.mark("the initial weights", dict(learner.model.named_parameters()))
    hooks = [
        module.register_forward_hook(_marking(found, f"the output of {name}"))
        for name, module in learner.model.named_modules()
        if name and next(module.children(), None) is None
    ]
    try:
        for batch in itertools.islice(_epochs(bench), steps):
            _step(bench, learner, found, batch)
            late = ends is not None and time.perf_counter() > ends
            if late and len(found.losses) >= LEAST_STEPS:
                break
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _epochs(bench: Bench) -> Iterator[Any]:
    for epoch in range(STEPS):
        yield from bench.target.batches("train", bench.seed, epoch)


def _marking(found: Trace, what: str) -> Callable[[nn.Module, Any, Any], None]:
    return lambda _module, _inputs, output: found.mark(what, output)


def _step(bench: Bench, learner: Learner, found: Trace, batch: Any) -> None:
    inputs, labels = split_batch(batch)
    found.mark("the inputs of the batch", inputs)
    found.mark("the labels of the batch", labels)
    learner.step(batch)
    found.mark("the loss", learner.loss)
    named = list(learner.model.named_parameters())
    for name, parameter in reversed(named):
        found.mark(f"the gradient of {name}", parameter.grad)
    for name, parameter in named:
        found.mark(f"the update of {name}", parameter)
    found.losses.append(float(learner.loss))
    bench.progress(len(found.losses), STEPS, f"loss {found.losses[-1]:.6g}")


def first_difference(one: Trace, other: Trace) -> tuple[int, str] | None:
    """Step and name of the first fingerprint that differs; None where all agree."""
    for mine, theirs in itertools.zip_longest(one.marks, other.marks):
        if mine != theirs:
            step, what, _ = mine or theirs
            return step, what if mine and theirs and mine[1] == theirs[1] else "what the model computes"
    return None


def _summary(measured: Mapping[str, Any]) -> str:
    steps = measured["steps"]
    if measured["same"]:
        return f"the same seed gave the same {steps} steps twice, to the last bit"
    one, other = measured["losses"][-1], measured["losses_again"][-1]
    return (
        f"the same seed did not give the same steps twice: {measured['first_difference']} differs first, at step "
        f"{measured['at_step']} (loss after {steps} steps {one:.6g} and {other:.6g})"
    )
