"""A training as people write it, healthy by default; what a patient suffers from is one change of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .families import FAMILIES, Data, patterns


def sgd(lr: float = 0.05, momentum: float = 0.9, **settings: Any) -> Callable[..., Optimizer]:
    """Gradient descent with momentum."""
    return partial(torch.optim.SGD, lr=lr, momentum=momentum, **settings)


def adam(lr: float = 2e-3, **settings: Any) -> Callable[..., Optimizer]:
    """Adam."""
    return partial(torch.optim.Adam, lr=lr, **settings)


def everything(model: nn.Module) -> list[nn.Parameter]:
    """All parameters, as most people hand them over."""
    return list(model.parameters())


def same(value: Any) -> Any:
    """Nothing is done to it."""
    return value


def rows(labels: Tensor) -> Tensor:
    """How labels are given to the loss: as they are."""
    return labels


@dataclass(frozen=True)
class Regimen:
    """Everything a loop decides; each field's default is what a healthy training does.

    `loop` is one written by hand, called as `learn` is and in its place.
    """

    family: str = "convnet"
    data: Callable[[], Data] = patterns
    architecture: dict[str, Any] = field(default_factory=dict)
    make_model: Callable[[Data], nn.Module] | None = None
    alter: Callable[[nn.Module], nn.Module | None] | None = None
    trained: Callable[[nn.Module], list[Any]] = everything
    optimizer: Callable[..., Optimizer] = field(default_factory=sgd)
    schedule: Callable[[Optimizer], Any] | None = None
    loss: Callable[..., Tensor] = field(default_factory=nn.CrossEntropyLoss)
    scores: Callable[[Tensor], Tensor] = same
    inputs: Callable[[Tensor], Tensor] = same
    labels: Callable[[Tensor], Tensor] = same
    augment: Callable[[Tensor], Tensor] = same
    batch: int = 32
    steps: int = 160
    shuffle: bool = True
    accumulate: int = 1
    clip: float | None = None
    zero: bool = True
    update: bool = True
    training_mode: bool = True
    evaluation_mode: bool = True
    evaluate: bool = True
    keep_graph: bool = False
    half: bool = False
    scaler: Callable[[], Any] | None = None
    average: bool = False
    pause_s: float = 0.0
    loop: Callable[[Regimen, Data, nn.Module, Optimizer, Any], None] | None = None

    def material(self) -> Data:
        """The pictures as this loop feeds them, labels as it understands them."""
        given = self.data()
        return Data(
            self.inputs(given.inputs),
            self.labels(given.labels),
            self.inputs(given.val_inputs),
            self.labels(given.val_labels),
            given.outputs,
        )

    def model(self, data: Data) -> nn.Module:
        """Fresh weights, altered where the patient's are."""
        if self.make_model is not None:
            made = self.make_model(data)
        else:
            made = FAMILIES[self.family](data, **self.architecture)
        altered = self.alter(made) if self.alter is not None else None
        return made if altered is None else altered

    def objective(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The scalar that is descended."""
        return self.loss(self.scores(outputs), labels)


def batches(data: Data, regimen: Regimen, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, epoch after epoch."""
    generator = torch.Generator().manual_seed(seed)
    count = len(data.inputs)
    while True:
        order = torch.randperm(count, generator=generator) if regimen.shuffle else torch.arange(count)
        for chosen in order.split(regimen.batch):
            if len(chosen) == regimen.batch or count < regimen.batch:
                if regimen.pause_s:
                    time.sleep(regimen.pause_s)
                yield regimen.augment(data.inputs[chosen]), data.labels[chosen]


def train(regimen: Regimen, watching: Callable[[nn.Module, Optimizer], Any] | None = None, seed: int = 0) -> nn.Module:
    """The loop; `watching(model, optimizer)` gives a watch to tell of each step, without one nothing is told."""
    torch.manual_seed(seed)
    data = regimen.material()
    model = regimen.model(data)
    optimizer = regimen.optimizer(regimen.trained(model))
    loop = learn if regimen.loop is None else regimen.loop
    if watching is None:
        loop(regimen, data, model, optimizer, None)
    else:
        with watching(model, optimizer) as watched:
            loop(regimen, data, model, optimizer, watched)
    return model


def learn(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Steps, and an evaluation eight times."""
    scheduler = regimen.schedule(optimizer) if regimen.schedule is not None else None
    scaler = regimen.scaler() if regimen.scaler is not None else None
    stream = batches(data, regimen)
    total: Any = 0.0
    model.train(regimen.training_mode)
    averaged = torch.optim.swa_utils.AveragedModel(model) if regimen.average else None
    for step in range(regimen.steps):
        if regimen.zero:
            optimizer.zero_grad()
        loss = one_update(regimen, model, optimizer, stream, scaler)
        total = total + loss if regimen.keep_graph else total + loss.item()
        if averaged is not None:
            averaged.update_parameters(model)
        if scheduler is not None:
            scheduler.step()
        if watched is not None:
            watched.step(loss)
        if regimen.evaluate and (step + 1) % max(1, regimen.steps // 8) == 0:
            found, accuracy = evaluate(regimen, model, data)
            if watched is not None:
                watched.validation(loss=found, accuracy=accuracy)


def one_update(
    regimen: Regimen, model: nn.Module, optimizer: Optimizer, stream: Iterator[tuple[Tensor, Tensor]], scaler: Any
) -> Tensor:
    """Forward, backward and the optimizer's step; returns the last loss."""
    if isinstance(optimizer, torch.optim.LBFGS):
        inputs, labels = next(stream)

        def closure() -> Tensor:
            optimizer.zero_grad()
            found = regimen.objective(model(inputs), labels)
            found.backward()
            return found

        return optimizer.step(closure)
    for _ in range(regimen.accumulate):
        inputs, labels = next(stream)
        with torch.autocast("cpu", torch.bfloat16, enabled=regimen.half):
            loss = regimen.objective(model(inputs), labels) / regimen.accumulate
        (loss if scaler is None else scaler.scale(loss)).backward(retain_graph=regimen.keep_graph)
    if regimen.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), regimen.clip)
    if regimen.update and scaler is not None:
        scaler.step(optimizer)
        scaler.update()
    elif regimen.update:
        optimizer.step()
    return loss * regimen.accumulate if regimen.accumulate > 1 else loss


def evaluate(regimen: Regimen, model: nn.Module, data: Data) -> tuple[float, float | None]:
    """Loss and accuracy on the validation split; the model goes back to the mode it trains in."""
    if regimen.evaluation_mode:
        model.eval()
    with torch.no_grad():
        outputs = model(data.val_inputs)
        loss = float(regimen.objective(outputs, data.val_labels))
    model.train(regimen.training_mode)
    if data.val_labels.is_floating_point() or outputs.dim() < 2:
        return loss, None
    return loss, float((outputs.argmax(1) == data.val_labels).float().mean())
