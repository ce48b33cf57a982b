"""Learning-rate schedules, built for a run of known length; all but plateau move at every step."""

import math
from dataclasses import dataclass

from torch.optim import Optimizer, lr_scheduler

from convdebug.settings import ScheduleConfig

Scheduler = lr_scheduler.LRScheduler


@dataclass(frozen=True)
class Length:
    """How long a run will be."""

    steps: int
    steps_per_epoch: int


def constant(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> None:
    """No scheduler at all."""


def step(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """lr · factor^⌊t / every⌋, t in epochs."""
    steps = max(1, round(settings.every * length.steps_per_epoch))
    return lr_scheduler.StepLR(optimizer, steps, settings.factor)


def exponential(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """lr · exp(−k t), t in epochs."""
    return lr_scheduler.ExponentialLR(optimizer, math.exp(-settings.k / length.steps_per_epoch))


def one_over_t(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """lr / (1 + k t), t in epochs."""
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + settings.k * step / length.steps_per_epoch))


def cosine(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """Half a cosine from lr to final · lr; it stays there when a run goes on for longer."""
    return lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step / length.steps, settings.final))


def warmup_cosine(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """A straight line up to lr over the warm-up share of the run, then half a cosine."""
    rise = max(1, round(settings.warmup * length.steps))

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return _cosine((step - rise) / max(1, length.steps - rise), settings.final)

    return lr_scheduler.LambdaLR(optimizer, share)


def one_cycle(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> Scheduler:
    """From lr/25 up to lr over the warm-up share of the run, then down to next to nothing."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=length.steps + 1, pct_start=settings.warmup, cycle_momentum=False
    )


def plateau(optimizer: Optimizer, settings: ScheduleConfig, length: Length) -> lr_scheduler.ReduceLROnPlateau:
    """lr · factor after more than ``patience`` epochs without a lower validation loss."""
    return lr_scheduler.ReduceLROnPlateau(optimizer, factor=settings.factor, patience=settings.patience)


def _cosine(progress: float, final: float) -> float:
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
