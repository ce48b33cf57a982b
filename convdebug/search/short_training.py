"""Short trainings on batches held in memory: the same examples for every trial, random state put back at the end."""

import contextlib
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from convdebug.batches import call_model, split_batch, to_device
from convdebug.learner import Learner
from convdebug.target import Target

HELD_BYTES = 512 * 2**20


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Put the random state of Python, numpy and torch back at the end."""
    python, array = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def seed_all(seed: int) -> None:
    """The same random numbers from here on."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def held_batches(
    target: Target, count: int, device: torch.device, *, seed: int = 0, batch_size: int | None = None
) -> list[Any]:
    """The first `count` training batches, fetched once and kept on the device (half a gigabyte of them at most)."""
    batches: list[Any] = []
    for batch in target.batches("train", seed, 0, batch_size):
        batches.append(to_device(batch, device))
        if len(batches) >= count or len(batches) * bytes_of(batches[0]) > HELD_BYTES:
            break
    return batches


def bytes_of(value: Any) -> int:
    """The size of all tensors in a batch."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        value = list(value.values())
    return sum(bytes_of(item) for item in value) if isinstance(value, (tuple, list)) else 0


def learner_of(
    target: Target, model: nn.Module, device: torch.device, lr: float | None = None, **optimizer: Any
) -> Learner:
    """A model in training mode with the target's optimizer (or another by `name`) at a constant rate."""
    model = model.to(device).train()
    made = target.optimizer(model, **optimizer)
    if lr is not None:
        set_rate(made, lr)
    return Learner(target, model, made, device)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the rate; several groups keep their proportions."""
    largest = rate_of(optimizer) or 0.0
    for group in optimizer.param_groups:
        group["lr"] = lr * float(group["lr"]) / largest if largest > 0 else lr


def rate_of(optimizer: Optimizer) -> float | None:
    """The largest rate of the groups, None for an optimizer without one."""
    rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
    return max(rates) if rates else None


def scores_and_labels(learner: Learner, batch: Any) -> tuple[Any, Any]:
    """What the model says about a batch, and what is right."""
    inputs, labels = split_batch(batch)
    return call_model(learner.model, inputs), labels


def mean_loss(learner: Learner, batches: Sequence[Any]) -> float:
    """Mean loss over batches without an update, in the mode in which the model is."""
    losses = []
    with torch.no_grad():
        for batch in batches:
            scores, labels = scores_and_labels(learner, batch)
            losses.append(float(learner.target.total_loss(learner.model, scores, labels)[0]))
    return float(np.mean(losses)) if losses else math.nan


def accuracy_of(learner: Learner) -> float | None:
    """Accuracy of the last step, None where there are no classes."""
    return None if learner.right is None else float(learner.right.float().mean())
