"""The training loop, to be read from top to bottom: build, train, validate, keep checkpoints, watched all along."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from convdebug.checkpoint import Keeper, Place, ResumePoint, restore_random_state
from convdebug.config import RunConfig
from convdebug.devices import choose_device, device_name
from convdebug.errors import TargetError, UserError
from convdebug.interruption import Interruption
from convdebug.learner import Learner
from convdebug.leaving import text_of
from convdebug.target import Target
from convdebug.watch import TrainingStopped, Watch, watch
from convdebug_sessions import Recorder, RunRecorder, SessionError

EVALUATIONS = 8
"""A run of few epochs is also evaluated in between, so many times, on the first examples of the validation split."""
EVALUATION_EXAMPLES = 2000
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """How long and how to train; what is trained is the Target's business. `steps` wins over `epochs`."""

    steps: int | None = None
    epochs: int = 1
    seed: int = 0
    device: str = "auto"
    amp: bool = False
    clip: float | None = None
    overhead_budget: float = 0.02
    every: int | None = None

    @classmethod
    def from_config(cls, config: RunConfig, device: str = "auto") -> "Plan":
        """The plan that a config describes; a device named on the command line wins over the config's."""
        settings, watching = config.train, config.watch
        return cls(
            steps=settings.steps,
            epochs=settings.epochs,
            seed=settings.seed,
            device=settings.device if device == "auto" else device,
            amp=settings.amp,
            clip=settings.clip,
            overhead_budget=watching.overhead_budget,
            every=watching.every,
        )


def train(
    target: Target,
    recorder: Recorder,
    plan: Plan,
    *,
    kind: str = "train",
    resume: ResumePoint | None = None,
    on_step: OnStep | None = None,
) -> int:
    """Train a target and record it; returns the run's id in the session.

    A stop wish, Ctrl-C and SIGTERM end the run after the step in progress, with a checkpoint to resume from.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the run is complete.
        TargetError: the training raised (the original exception is its cause); the run is kept.
    """
    device = choose_device(plan.device)
    seed_everything(plan.seed)
    steps = planned_steps(target, plan)
    model = target.build(plan.seed).to(device)
    optimizer = target.optimizer(model)
    learner = Learner(
        target, model, optimizer, device, scheduler=target.scheduler(optimizer), amp=plan.amp, clip=plan.clip
    )
    place = Place(batch_size=target.batch_size or 1)
    info = run_info(target, plan, steps, device)
    run = start_run(recorder, target, kind, info, resume)
    keeper = Keeper(run, learner.parts())
    watched = watched_run(run, target, plan, learner, info, resume)
    watched.examples = lambda: target.batches_of("train", place.batch_size).places(
        plan.seed, place.epoch, place.batches
    )
    with crashes_named(target), watched, Interruption(lambda: watched.paused) as interruption:
        evaluation = Evaluation(target, learner, watched)
        if resume:
            keeper.restore(resume, place)
        else:
            keeper.keep(place, "start")
        try:
            while place.step < steps:
                for batch in batches_from(place, target, plan, resume):
                    if place.step >= steps or watched.wanted_batch_size:
                        break
                    learner.step(batch)
                    advance(place, watched, learner)
                    if on_step is not None:
                        on_step(place.step, steps)
                    interruption.check()
                    if keeper.due(place):
                        keeper.keep(place, "latest")
                    if evaluation.due(place, steps):
                        evaluation.run(place, EVALUATION_EXAMPLES)
                else:
                    end_epoch(place, evaluation, learner, watched, keeper)
                if watched.wanted_batch_size:
                    change_batch_size(place, watched)
            evaluation.run(place)
            keeper.keep(place, "end")
        except (TrainingStopped, KeyboardInterrupt):
            keeper.keep(place, "stopped")
            raise
    return run.id


def advance(place: Place, watched: Watch, learner: Learner) -> None:
    """Record the step that was made, obey wishes, move the schedule; the place is right even if that stops the run."""
    rate = learner.optimizer.param_groups[0]["lr"]
    place.step += 1
    place.batches += 1
    try:
        scalars = {} if learner.penalty is None else {"train/penalty": learner.penalty}
        watched.step(learner.loss, accuracy=learner.right, **scalars)
    finally:
        learner.after_step(rate)


def batches_from(place: Place, target: Target, plan: Plan, resume: ResumePoint | None) -> Iterator[Any]:
    """The rest of the epoch; right after resuming, its first batch finds the random state of the checkpoint."""
    batches = target.batches("train", plan.seed, place.epoch, place.batch_size, place.batches)
    if resume is not None and place.step == resume.step:
        restore_random_state(resume.state["random"])
    return batches


def end_epoch(place: Place, evaluation: "Evaluation", learner: Learner, watched: Watch, keeper: Keeper) -> None:
    """All batches were seen: evaluate on the whole validation split, move the schedule, keep a checkpoint."""
    if place.batches == 0:
        raise UserError(f"the training data of {learner.target.name} gave no batch")
    watched.event("epoch", epoch=place.epoch)
    learner.after_epoch(evaluation.run(place))
    place.epoch, place.batches = place.epoch + 1, 0
    keeper.keep(place, "epoch")


def change_batch_size(place: Place, watched: Watch) -> None:
    """Go on in the same epoch with another batch size, at the batch that holds the next example."""
    old, new = place.batch_size, watched.wanted_batch_size or place.batch_size
    place.batches = place.batches * old // new
    place.batch_size = new
    watched.wanted_batch_size = None
    watched.change("data.batch_size", old, new, by="wish")


class Evaluation:
    """Evaluates at most once after a step, on the whole validation split or on its first examples."""

    def __init__(self, target: Target, learner: Learner, watched: Watch) -> None:
        self._target, self._learner, self._watched = target, learner, watched
        self._per_epoch = target.batches_of("train").batches_per_epoch
        self._step = -1
        self._loss: float | None = None

    def due(self, place: Place, steps: int) -> bool:
        """Whether it is time for an evaluation between the ends of epochs, which long epochs ask for."""
        spacing = max(1, steps // EVALUATIONS)
        long_epochs = self._per_epoch is None or self._per_epoch > 2 * spacing
        return long_epochs and place.step % spacing == 0 and place.step < steps

    def run(self, place: Place, examples: int | None = None) -> float | None:
        """The validation loss, recorded at the last step; None without a validation split."""
        if self._target.val_data is None or place.step == self._step:
            return self._loss
        batches = self._target.batches("val", batch_size=place.batch_size)
        chosen = islice(batches, -(-examples // place.batch_size)) if examples else batches
        self._loss, accuracy = self._learner.evaluate(chosen)
        self._step = place.step
        self._watched.validation(loss=self._loss, accuracy=accuracy)
        return self._loss


def watched_run(
    run: RunRecorder, target: Target, plan: Plan, learner: Learner, info: dict[str, Any], resume: ResumePoint | None
) -> Watch:
    """The trainer is a user of `watch` like any other."""
    return watch(
        learner.model,
        learner.optimizer,
        session=run,
        loss=target.loss,
        overhead_budget=plan.overhead_budget,
        every=plan.every,
        info=info,
        class_names=target.class_names,
        first_step=resume.step if resume else 0,
    )


def run_info(target: Target, plan: Plan, steps: int, device: torch.device) -> dict[str, Any]:
    """What is known of a run before its first step."""
    source = target.batches_of("train")
    return {
        "source": target.source,
        "target": target.name,
        "device": device_name(device),
        "batch_size": target.batch_size,
        "num_classes": target.num_classes,
        "expected_initial_loss": target.expected_initial_loss,
        "seed": plan.seed,
        "steps_planned": steps,
        "steps_per_epoch": source.batches_per_epoch,
        "data": {"train": source.examples, "class_names": list(target.class_names or ())},
    }


def start_run(
    recorder: Recorder, target: Target, kind: str, info: dict[str, Any], resume: ResumePoint | None
) -> RunRecorder:
    """Open the run; one that is resumed is a branch of the run that its checkpoint is from."""
    return recorder.start_run(
        kind,
        target.name,
        config=target.config.model_dump() if target.config else None,
        info=info,
        parent=resume.run.id if resume else None,
        parent_step=resume.step if resume else None,
    )


def planned_steps(target: Target, plan: Plan) -> int:
    """How many optimizer steps the run is to have."""
    if plan.steps is not None:
        return plan.steps
    per_epoch = target.batches_of("train").batches_per_epoch
    if per_epoch is None:
        raise UserError(f"nobody knows how long an epoch of {target.name} is; say how many --steps")
    return plan.epochs * per_epoch


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, so that the same plan gives the same numbers."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def crashes_named(target: Target) -> Iterator[None]:
    """What the training raises becomes a TargetError that keeps the original; our own errors and Ctrl-C pass."""
    try:
        yield
    except (UserError, TargetError, SessionError):
        raise
    except Exception as error:
        raise TargetError(f"the training of {target.name} crashed: {type(error).__name__}: {text_of(error)}") from error
