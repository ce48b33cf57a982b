"""The training loop, to be read from top to bottom: build, train, validate, keep checkpoints, watched all along."""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from convdebug.checkpoint import Keeper, Place, ResumePoint, restore_random_state
from convdebug.config import RunConfig
from convdebug.devices import choose_device
from convdebug.errors import TargetError
from convdebug.interruption import Interruption
from convdebug.learner import Learner
from convdebug.target import Target
from convdebug.watch import TrainingStopped, watch
from convdebug_sessions import Recorder, RunRecorder

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
        KeyboardInterrupt: after Ctrl-C, once the session is complete.
        TargetError: the training raised (the original exception is its cause); the session is kept.
    """
    device = choose_device(plan.device)
    seed_everything(plan.seed)
    model = target.build(plan.seed).to(device)
    optimizer = target.optimizer(model)
    steps = planned_steps(target, plan)
    scheduler = target.scheduler(optimizer, steps)
    learner = Learner(target, model, optimizer, scheduler, device, amp=plan.amp, clip=plan.clip)
    run = start_run(recorder, target, plan, kind, steps, resume)
    keeper = Keeper(run, learner.parts())
    place = Place(target.batch_size)
    first_step = resume.step if resume else 0
    with (
        crashes_as_target_errors(),
        watch(
            model,
            optimizer,
            session=run,
            loss=target.loss,
            info=run_info(target, plan, steps),
            class_names=target.class_names,
            overhead_budget=plan.overhead_budget,
            every=plan.every,
            first_step=first_step,
        ) as watched,
        Interruption() as interruption,
    ):
        if resume:
            keeper.restore(resume, place)
        else:
            keeper.keep(place, "start")
        fresh = resume is None
        while place.step < steps:
            batches = iter(target.batches("train", plan.seed, place.epoch, place.batch_size, place.examples))
            if not fresh:
                restore_random_state(resume.state["random"])
                fresh = True
            for batch in batches:
                ...
    return run.id
