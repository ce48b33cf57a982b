"""Loops written by hand over a `DataLoader`, as reports of their faults show them; each is called as `learn` is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, TensorDataset

from .families import SIDE, Data
from .regimen import Regimen, evaluate


def endless(regimen: Regimen, loader: DataLoader[Any]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The step and its batch, epoch after epoch, until the steps are done."""
    step = 0
    while True:
        for inputs, labels in loader:
            if step == regimen.steps:
                return
            yield step, inputs, labels
            step += 1


def plainly(regimen: Regimen, data: Data) -> DataLoader[Any]:
    """The usual loader of tensors."""
    return DataLoader(TensorDataset(data.inputs, data.labels), regimen.batch, shuffle=regimen.shuffle, drop_last=True)


def tell(regimen: Regimen, data: Data, model: nn.Module, watched: Any, step: int, loss: Tensor) -> None:
    """A step is over; eight times there is an evaluation."""
    if watched is not None:
        watched.step(loss)
    if (step + 1) % (regimen.steps // 8) == 0:
        found, accuracy = evaluate(regimen, model, data)
        if watched is not None:
            watched.validation(loss=found, accuracy=accuracy)


def accumulates_for_ever(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Four small batches make a step, and nobody zeroes after it."""
    parts = 4
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        for some, theirs in zip(inputs.chunk(parts), labels.chunk(parts), strict=True):
            loss = regimen.objective(model(some), theirs) / parts
            loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss * parts)


def zeroes_each_epoch(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Zeroing stands one loop too far out: once for every epoch."""
    loader = plainly(regimen, data)
    model.train()
    for step, inputs, labels in endless(regimen, loader):
        if step % len(loader) == 0:
            optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def zeroes_before_the_step(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The gradients are gone when the optimizer comes."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def steps_the_schedule_only(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The schedule is stepped where the optimizer should be."""
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        scheduler.step()
        tell(regimen, data, model, watched, step, loss)


def names_the_step(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """`optimizer.step` without its parentheses."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step  # noqa: B018
        tell(regimen, data, model, watched, step, loss)


def waits_for_a_thousand(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A step is made of a thousand batches, more than there ever are."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        loss = regimen.objective(model(inputs), labels)
        (loss / 1000).backward()
        if (step + 1) % 1000 == 0:
            optimizer.step()
            optimizer.zero_grad()
        tell(regimen, data, model, watched, step, loss)


def clips_each_value_to_nothing(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """Every entry of the gradient is cut to a ten-millionth."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 1e-7)
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def penalizes_by_hand(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Half the squares of all weights are added to the loss, at full weight."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        penalty = sum(parameter.pow(2).sum() for parameter in model.parameters())
        loss = regimen.objective(model(inputs), labels) + 0.5 * penalty
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def waits_for_the_loss_to_grow(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """The rate falls at every epoch in which the loss has fallen: the mode is that of an accuracy."""
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=0)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)
        if step % 5 == 4:
            scheduler.step(evaluate(regimen, model, data)[0])


def stays_in_evaluation(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Evaluated once before the first step, to see chance; nobody goes back to training mode.

    Statistics stay as they began: it costs the first epoch, and little at the end.
    """
    model.eval()
    with torch.no_grad():
        regimen.objective(model(data.val_inputs), data.val_labels)
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def names_the_evaluation_mode(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """`model.eval` without its parentheses, before pictures that come two at a time.

    What is trained is the same; what is measured is worse, the more is dropped.
    """
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)
        if (step + 1) % (regimen.steps // 8) == 0:
            model.eval  # noqa: B018
            with torch.no_grad():
                outputs = torch.cat([model(pictures) for pictures in data.val_inputs.split(2)])
            found = float(regimen.objective(outputs, data.val_labels))
            if watched is not None:
                watched.validation(loss=found, accuracy=float((outputs.argmax(1) == data.val_labels).float().mean()))
            model.train()


def wraps_the_loss_again(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The loss is made a new leaf, so that `backward` does not complain."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss = loss.detach().clone().requires_grad_(True)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def steps_one_of_two(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The body has an optimizer of its own, which is zeroed and never stepped."""
    head = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    body = torch.optim.Adam([each for each in model.parameters() if id(each) not in head], 2e-3)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        body.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def keeps_graphs_of_validation(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """Losses of validation are computed with their graphs and collected as tensors."""
    collected = []
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if step % 3 == 0:
            collected.append(regimen.objective(model(data.val_inputs[:48]), data.val_labels[:48]))
        tell(regimen, data, model, watched, step, loss)


class FromDisk(Dataset[tuple[Tensor, Tensor]]):
    """Every picture is waited for, as from a disk in another building."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(0.0015)
        return self.data.inputs[index], self.data.labels[index]


class PixelByPixel(FromDisk):
    """Pictures are brightened six times, each time by a loop over their pixels."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = self.data.inputs[index].tolist()
        for plane in picture * 6:
            for row in plane:
                for column in range(SIDE):
                    row[column] = min(max(row[column] * 1.003 + 0.0015, -4.0), 4.0)
        return torch.tensor(picture), self.data.labels[index]


class OneGenerator(FromDisk):
    """The noise comes from a generator made with the dataset, of which every worker has a copy.

    Half of the noise is a repetition, which costs little.
    """

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.generator = np.random.default_rng(0)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        noise = torch.from_numpy(self.generator.normal(0, 1.5, (3, SIDE, SIDE)).astype("float32"))
        return self.data.inputs[index] + noise, self.data.labels[index]


def over(dataset: type[FromDisk], **settings: Any) -> Any:
    """A plain loop over a dataset of the reporter's own."""

    def loop(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
        loader = DataLoader(dataset(data), regimen.batch, shuffle=True, drop_last=True, **settings)
        model.train()
        for step, inputs, labels in endless(regimen, loader):
            optimizer.zero_grad()
            loss = regimen.objective(model(inputs), labels)
            loss.backward()
            optimizer.step()
            tell(regimen, data, model, watched, step, loss)

    return loop


def accumulates(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Four small batches make a step, zeroed after it."""
    parts = 4
    model.train()
    optimizer.zero_grad()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        total = torch.zeros(())
        for some, theirs in zip(inputs.chunk(parts), labels.chunk(parts), strict=True):
            loss = regimen.objective(model(some), theirs) / parts
            loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad()
        tell(regimen, data, model, watched, step, total)


def clips_each_value(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Every entry of the gradient is kept within 0.1."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def mixes_up(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Pictures are mixed with others of their batch, and so are their losses."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        share = float(torch.distributions.Beta(0.4, 0.4).sample())
        order = torch.randperm(len(inputs))
        outputs = model(share * inputs + (1 - share) * inputs[order])
        loss = share * F.cross_entropy(outputs, labels) + (1 - share) * F.cross_entropy(outputs, labels[order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def unfreezes(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Only what the optimizer holds trains in the first quarter; then the rest is thawed and added at a lower rate."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    body = [parameter for parameter in model.parameters() if id(parameter) not in held]
    for parameter in body:
        parameter.requires_grad_(False)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        if step == regimen.steps // 4:
            for parameter in body:
                parameter.requires_grad_(True)
            optimizer.add_param_group({"params": body, "lr": optimizer.param_groups[0]["lr"] / 3})
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def sharpness_aware(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The gradient is taken a little uphill; two passes make a step."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        moved = []
        with torch.no_grad():
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            length = torch.stack([gradient.norm() for gradient in gradients]).norm()
            for parameter in model.parameters():
                uphill = 0.05 * parameter.grad / (length + 1e-12) if parameter.grad is not None else None
                if uphill is not None:
                    parameter.add_(uphill)
                    moved.append((parameter, uphill))
        optimizer.zero_grad()
        regimen.objective(model(inputs), labels).backward()
        with torch.no_grad():
            for parameter, uphill in moved:
                parameter.sub_(uphill)
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)
