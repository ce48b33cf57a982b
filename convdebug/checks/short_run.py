"""A first short training, measured densely: does the loss fall, do gradients flow, do updates have the right size?"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.not_finite import made_in_evaluation
from convdebug.learner import Learner
from convdebug.rules import Facts, judge
from convdebug.rules.curves import column_level, level, number
from convdebug.rules.training import progress, update_ratio
from convdebug.search.short_training import learner_of, seed_all
from convdebug.train import Plan, run_info
from convdebug.watch import Watch, watch
from convdebug_sessions import Diagnosis, RunRecorder, Session

STEPS = 300
LEAST_STEPS = 10
EVALUATIONS = 4
EVALUATED_BATCHES = 8
MEASURING = 0.3  # of the time: a short run is measured more densely than a long one
WANTED_RATIO = 1e-3  # lecture, "Track the ratio of weight updates / weight magnitudes"
FALLING = 0.97  # of the first loss


@dataclass(frozen=True)
class Figures:
    """What the short run showed; NaN where it was not measured."""

    steps: int
    first: float
    last: float
    highest: float
    ratio: float
    gradient_first: float
    gradient_last: float

    @property
    def shape(self) -> str:
        """The curve of the loss in a word."""
        if not math.isfinite(self.last):
            return "turns into NaN"
        if self.last > self.first / FALLING:
            return "rises"
        return "falls" if self.last < FALLING * self.first else "stays where it is"

    @property
    def text(self) -> str:
        """One sentence."""
        text = f"the loss {self.shape}, {number(self.first)} at first and {number(self.last)} after {self.steps} steps"
        if math.isfinite(self.ratio):
            text += f"; an update moves the weights by {number(self.ratio)} of their size (wanted: about 0.001)"
        if math.isfinite(self.gradient_first):
            text += f"; gradient {number(self.gradient_first)} in the first layer, "
            text += f"{number(self.gradient_last)} in the last"
        return text

    def as_json(self) -> dict[str, Any]:
        """For the measured numbers."""
        known = {
            "steps": self.steps,
            "first_loss": self.first,
            "last_loss": self.last,
            "highest_loss": self.highest,
            "update_ratio": self.ratio,
            "gradient_first_layer": self.gradient_first,
            "gradient_last_layer": self.gradient_last,
        }
        return {name: value for name, value in known.items() if not math.isnan(value)} | {"loss": self.shape}


def run(bench: Bench) -> Outcome:
    """Train as the target would, as long as there is time, and ask every rule about it."""
    target = bench.target
    if target.config is not None and target.config.train.steps == 0:
        raise Skipped("no step is planned")
    plan = Plan(steps=STEPS, seed=bench.seed, device=str(bench.device))
    seed_all(bench.seed)
    learner = learner_of(target, target.build(bench.seed), bench.device)
    learner.scheduler = target.scheduler(learner.optimizer)
    info = run_info(target, plan, _planned(bench), bench.device)
    config = target.config.model_dump() if target.config is not None else None
    run = bench.recorder.start_run("trial", "short run", config=config, info=info, parent=bench.run.id)
    evaluated = _train(bench, learner, run)
    figures, diagnoses = _judged(bench, run)
    diagnoses += _not_finite_in_validation(bench, learner, evaluated, diagnoses)
    wanted = {"update_ratio": WANTED_RATIO, "loss": "falls"}
    return Outcome(figures.text, figures.as_json() | {"run": run.id}, wanted, diagnoses)


def _planned(bench: Bench) -> int:
    """The steps of the whole training, of which this is only the beginning."""
    config, per_epoch = bench.target.config, bench.target.batches_of("train").batches_per_epoch
    if config is None:
        return STEPS
    return config.train.steps or config.train.epochs * (per_epoch or STEPS)


def _train(bench: Bench, learner: Learner, run: RunRecorder) -> list[float]:
    """The validation losses on the way."""
    evaluated: list[float] = []
    ends = time.perf_counter() + 0.85 * bench.time_left
    spacing = STEPS // EVALUATIONS
    with watch(learner.model, learner.optimizer, session=run, loss=bench.target.loss, overhead_budget=MEASURING,
               info=run.info, class_names=bench.target.class_names) as watched:  # fmt: skip
        for step, batch in enumerate(islice(_endless(bench), STEPS), 1):
            _step(learner, watched, batch)
            bench.progress(step, STEPS, f"loss {float(learner.loss):.4g}")
            late = step >= LEAST_STEPS and time.perf_counter() > ends
            if step % spacing == 0 or late or step == STEPS:
                evaluated += _evaluate(bench, learner, watched)
            if late:
                break
    return evaluated


def _endless(bench: Bench) -> Iterator[Any]:
    """Epoch after epoch of training batches."""
    for epoch in range(STEPS):
        yield from bench.target.batches("train", bench.seed, epoch)


def _step(learner: Learner, watched: Watch, batch: Any) -> None:
    rate = learner.optimizer.param_groups[0]["lr"]
    learner.step(batch)
    scalars = {} if learner.penalty is None else {"train/penalty": learner.penalty}
    watched.step(learner.loss, accuracy=learner.right, **scalars)
    learner.after_step(rate)


def _evaluate(bench: Bench, learner: Learner, watched: Watch) -> list[float]:
    if bench.target.val_data is None:
        return []
    loss, accuracy = learner.evaluate(islice(bench.target.batches("val"), EVALUATED_BATCHES))
    watched.validation(loss=loss, accuracy=accuracy)
    return [loss]


def _not_finite_in_validation(
    bench: Bench, learner: Learner, evaluated: Sequence[float], diagnoses: Sequence[Diagnosis]
) -> list[Diagnosis]:
    """The module that gives no number in evaluation mode, where training has not shown it."""
    bad = next((loss for loss in evaluated if not math.isfinite(loss)), None)
    if bad is None or any(each.severity == "error" for each in diagnoses):
        return []
    batches = list(islice(bench.target.batches("val"), EVALUATED_BATCHES))
    return [made_in_evaluation(bench, learner, batches, f"the validation loss is {bad}")]


def _judged(bench: Bench, run: RunRecorder) -> tuple[Figures, list[Diagnosis]]:
    with Session.open(bench.recorder.path) as session:
        facts = Facts(session, run.id)
        verdict = judge(facts)
        for line in verdict.failures.values():
            bench.run.event("note", None, text=line)
        return _figures(facts), verdict.diagnoses


def _figures(facts: Facts) -> Figures:
    loss, now = facts.curve("train/loss"), progress(facts)
    finite = loss.values[np.isfinite(loss.values)]
    gradients = facts.table("gradient", "norm")
    wide = {each["name"] for each in facts.info.get("parameters", ()) if len(each.get("shape", ())) > 1}
    norms = column_level(gradients.only(wide).values) if len(gradients) else np.empty(0)
    return Figures(
        steps=len(loss),
        first=now.start,
        last=now.now,
        highest=float(finite.max()) if len(finite) else math.nan,
        ratio=level(update_ratio(facts).values),
        gradient_first=float(norms[0]) if len(norms) else math.nan,
        gradient_last=float(norms[-1]) if len(norms) else math.nan,
    )
