"""Loops with a bug, for drawn trainings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from .families import Data
from .regimen import Regimen, batches, evaluate


def _told(regimen: Regimen, data: Data, model: nn.Module, watched: Any, step: int, loss: Tensor) -> bool:
    """Whether the model was validated."""
    if watched is not None:
        watched.step(loss)
    if (step + 1) % max(1, regimen.steps // 8):
        return False
    found, accuracy = evaluate(regimen, model, data)
    if watched is not None:
        watched.validation(loss=found, accuracy=accuracy)
    return True


def zeroed_too_late(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The gradients are zeroed between backward and step."""
    stream = batches(data, regimen)
    model.train()
    for step in range(regimen.steps):
        inputs, labels = next(stream)
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        _told(regimen, data, model, watched, step, loss)


def zeroed_each_epoch(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The gradients are zeroed outside the inner loop."""
    stream = batches(data, regimen)
    length = max(1, len(data.inputs) // regimen.batch)
    model.train()
    for step in range(regimen.steps):
        if step % length == 0:
            optimizer.zero_grad()
        inputs, labels = next(stream)
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        _told(regimen, data, model, watched, step, loss)


def never_due(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Gradients are gathered over more batches than an epoch has, and each epoch counts anew."""
    stream = batches(data, regimen)
    length = max(1, len(data.inputs) // regimen.batch)
    every = 2 * length
    model.train()
    for step in range(regimen.steps):
        inputs, labels = next(stream)
        loss = regimen.objective(model(inputs), labels)
        (loss / every).backward()
        if (step % length + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()
        _told(regimen, data, model, watched, step, loss)


def evaluating_for_good(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """`model.train()` stands before the loop, so the first validation leaves the model in the other mode."""
    stream = batches(data, regimen)
    model.train()
    training = True
    for step in range(regimen.steps):
        inputs, labels = next(stream)
        loss = regimen.objective(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if _told(regimen, data, model, watched, step, loss) or not training:
            training = False
            model.eval()


def penalized(strength: float, power: int) -> Callable[..., None]:
    """A loop that adds its own penalty of the weights."""

    def loop(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
        stream = batches(data, regimen)
        model.train()
        for step in range(regimen.steps):
            inputs, labels = next(stream)
            loss = regimen.objective(model(inputs), labels)
            loss = loss + strength * sum(value.abs().pow(power).sum() for value in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not math.isfinite(loss.item()):
                break
            _told(regimen, data, model, watched, step, loss)

    return loop
