"""Loops of the healthy of the third referral."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from .families import SIDE, Data
from .referred_loops import endless, plainly, tell
from .regimen import Regimen


def pastes(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A window of every picture is replaced by that of another, and so is its share of the loss."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        order = torch.randperm(len(inputs))
        side = int(torch.randint(0, 5, ()))
        top, left = torch.randint(0, SIDE - side + 1, (2,)).tolist()
        inputs = inputs.clone()
        inputs[:, :, top : top + side, left : left + side] = inputs[order, :, top : top + side, left : left + side]
        share = side * side / SIDE**2
        outputs = model(inputs)
        loss = (1 - share) * regimen.objective(outputs, labels) + share * regimen.objective(outputs, labels[order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def attacked(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Pictures are first moved a little against the model, and then trained on."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        moved = inputs.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(regimen.objective(model(moved), labels), moved)
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs + 0.1 * slope.sign()), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def has_a_mean_teacher(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A moving mean of the model, which no optimizer holds, says what it thinks of noisier pictures."""
    teacher = copy.deepcopy(model).requires_grad_(False)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        outputs = model(inputs)
        with torch.no_grad():
            shares = teacher(inputs + 0.3 * torch.randn_like(inputs)).softmax(1)
        loss = regimen.objective(outputs, labels) + 0.5 * F.mse_loss(outputs.softmax(1), shares)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(teacher.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 0.05)
        tell(regimen, data, model, watched, step, loss)


def grows_its_batches(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The batch is doubled every forty steps in place of a smaller rate."""
    model.train()
    for step in range(regimen.steps):
        chosen = torch.randint(0, len(data.inputs), (regimen.batch * 2 ** (step // 40),))
        optimizer.zero_grad()
        loss = regimen.objective(model(data.inputs[chosen]), data.labels[chosen])
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def looks_once(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """One evaluation, at the end, of batches of sixteen."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)
        if step == regimen.steps - 1:
            model.eval()
            with torch.inference_mode():
                outputs = torch.cat([model(some) for some in data.val_inputs.split(16)])
                found = float(regimen.objective(outputs, data.val_labels))
            if watched is not None:
                watched.validation(loss=found, accuracy=float((outputs.argmax(1) == data.val_labels).float().mean()))


def finds_its_pair(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Two noisy views of every picture are to find each other among all of the batch; labels are not used."""
    model.train()
    places = torch.arange(regimen.batch)
    for _step, inputs, _labels in endless(regimen, plainly(regimen, data)):
        views = [F.normalize(model(inputs + 0.5 * torch.randn_like(inputs))) for _ in range(2)]
        likeness = views[0] @ views[1].T / 0.2
        loss = (F.cross_entropy(likeness, places) + F.cross_entropy(likeness.T, places)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)


def keeps_apart(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Anchor, another of its class, and one of the next class of the batch: at best the loss is zero."""
    model.train()
    order = data.labels.argsort(stable=True)
    firsts = torch.searchsorted(data.labels[order], torch.arange(data.outputs + 1))

    def of(labels: Tensor) -> Tensor:
        spread = firsts[labels + 1] - firsts[labels]
        return order[firsts[labels] + (torch.rand(len(labels)) * spread).long()]

    for _step, inputs, labels in endless(regimen, plainly(regimen, data)):
        others = (labels + torch.randint(1, data.outputs, labels.shape)) % data.outputs
        same, other = data.inputs[of(labels)], data.inputs[of(others)]
        loss = F.triplet_margin_loss(model(inputs), model(same), model(other), margin=1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)


def denoises(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Noise of any strength is added, and the noise is to be told; a fourth channel says how strong it is."""
    model.train()
    for _step, inputs, _labels in endless(regimen, plainly(regimen, data)):
        share = torch.rand(len(inputs), 1, 1, 1)
        noise = torch.randn_like(inputs)
        mixed = share.sqrt() * noise + (1 - share).sqrt() * inputs
        told = model(torch.cat([mixed, share.expand(-1, 1, SIDE, SIDE)], dim=1))
        loss = F.mse_loss(told, noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if watched is not None:
            watched.step(loss)
