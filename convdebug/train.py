"""The training loop, to be read from top to bottom: build, train, validate, keep checkpoints, watched all along."""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from convdebug.checkpoint import random_state, restore_random_state
from convdebug.config import RunConfig
from convdebug.errors import TargetError, UserError
from convdebug.interruption import Interruption
from convdebug.keeping import Keeper, ResumePoint
from convdebug.target import Target
from convdebug.watch import TrainingStopped, Watch, watch
from convdebug_sessions import Recorder

VALIDATION_EXAMPLES = 2000
VALIDATIONS = 20

OnStep = Callable[[int, int, float], None]


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


@dataclass
class Place:
    """Where a training is: steps made, epoch, examples seen in this epoch, and the batch size now in force."""

    batch_size: int
    step: int = 0
    epoch: int = 0
    examples: int = 0


def train(
    target: Target,
    recorder: Recorder,
    plan: Plan,
    *,
    kind: str = "train",
    name: str = "",
    resume: ResumePoint | None = None,
    on_step: OnStep | None = None,
) -> int:
    """Train a target and record it; returns the run's id in the session.

    A stop wish, Ctrl-C and SIGTERM end the run after the step in progress, with a checkpoint to resume from.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the session is complete.
        TargetError: the training raised (the original exception is its cause); the session is kept.
    """
    device = choose_device(plan.device)
    seed_everything(plan.seed)
    model = target.build(plan.seed).to(device)
    optimizer = target.optimizer(model)
    steps = planned_steps(target, plan)
    scheduler = target.scheduler(optimizer, steps)
    place = Place(target.batch_size)
    learner = Learner(target, model, optimizer, device, plan)
    watched = watch(model, optimizer, session=recorder, kind=kind, name=name or target.name, **_watching(target, plan, steps, resume))
    keeper = Keeper(watched, {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": learner.scaler})
    with watched, Interruption() as interruption:
        random_before = keeper.restore(resume, place) if resume else keeper.keep(place, reason="start")
        while place.step < steps:
            for batch in learner.batches(place, random_before):
                loss, accuracy = learner.step(batch)
                place.step += 1
                place.examples += len(batch)
                ...
    return watched.run
