"""Loops of the third referral, with one fault each."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from .families import Data
from .referred_loops import endless, plainly, tell
from .regimen import Regimen
from .third_loaders import usual


def zeroes_at_a_fourth_remainder(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """Zeroed when a remainder by four is four, which it never is; stepped at every batch."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if (step + 1) % 4 == 4:
            optimizer.zero_grad()
        tell(regimen, data, model, watched, step, loss)


def detaches_the_gradients(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Gradients are detached before every step, as an optimizer does it before it zeroes them, and not zeroed."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.detach_()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


class ZeroesAName(torch.optim.SGD):
    """Gradient descent whose zeroing gives a new tensor to a name, and leaves the gradient as it is."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None:
                    gradient = torch.zeros_like(gradient)


def takes_up_a_checkpoint(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The optimizer's state is taken from an older training, and with it a rate that was meant for another loss."""
    older = torch.optim.SGD(model.parameters(), lr=60.0, momentum=0.9)
    optimizer.load_state_dict(older.state_dict())
    usual(regimen, data, model, optimizer, watched, plainly(regimen, data))


def steps_with_a_scaler_only(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """Half precision is off, and the step stands in the branch for it."""
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        scaler.scale(loss).backward()
        if scaler.is_enabled():
            scaler.step(optimizer)
            scaler.update()
        tell(regimen, data, model, watched, step, loss)


def steps_after_all(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The line of the step stands one indentation too far out, behind all batches."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad(set_to_none=False)
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        tell(regimen, data, model, watched, step, loss)
    optimizer.step()


def thaws_and_never_adds(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """All but the head rests for twenty steps and is thawed then; the optimizer was given what had not rested."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    resting = [parameter for parameter in model.parameters() if id(parameter) not in held]
    for parameter in resting:
        parameter.requires_grad_(False)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        if step == 20:
            for parameter in resting:
                parameter.requires_grad_(True)
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def shares_its_body_with_a_teacher(
    regimen: Regimen, data: Data, model: Any, optimizer: Optimizer, watched: Any
) -> None:
    """The teacher is a shallow copy and is frozen, and with it all that it shares with the student."""
    teacher = copy.copy(model)
    teacher._modules = {**model._modules, "fc": copy.deepcopy(model.fc)}
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        outputs = model(inputs)
        with torch.no_grad():
            shares = F.softmax(teacher(inputs) / 4, dim=1)
        loss = regimen.objective(outputs, labels)
        loss = loss + 0.1 * F.kl_div(F.log_softmax(outputs / 4, dim=1), shares, reduction="batchmean")
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def clips_what_is_scaled(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Gradients are clipped to one while they are still scaled by 65,536; unscaled, nothing is left of them."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        scaler.scale(loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        tell(regimen, data, model, watched, step, loss)


def scales_twice(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A factor by hand against underflow was left in beside the scaler, which raises its own at every success."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=2, backoff_factor=0.95)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = regimen.objective(model(inputs), labels)
        scaler.scale(loss * 4096).backward()
        scaler.unscale_(optimizer)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= 4096
        scaler.step(optimizer)
        scaler.update()
        tell(regimen, data, model, watched, step, loss)


def halves_at_every_worse_batch(
    regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any
) -> None:
    """The rate is halved whenever a batch is not better than the best batch so far."""
    best = math.inf
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if loss.item() < best:
            best = loss.item()
        else:
            for group in optimizer.param_groups:
                group["lr"] /= 2
        tell(regimen, data, model, watched, step, loss)


def sums_of_sizes(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The sum of the absolute values of all weights is added to the loss with a factor of a tenth."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        sizes = torch.cat([parameter.abs().flatten() for parameter in model.parameters()]).sum()
        loss = regimen.objective(model(inputs), labels) + 0.1 * sizes
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def never_goes_back(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """`train` stands before the epochs; a report of the first ten batches leaves the model in evaluation mode."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        if step == 10:
            model.eval()
            with torch.no_grad():
                print(f"first look: {float(regimen.objective(model(data.val_inputs), data.val_labels)):.3f}")
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)
        if (step + 1) % (regimen.steps // 8) == 0:
            with torch.no_grad():
                outputs = model(data.val_inputs)
            if watched is not None:
                accuracy = float((outputs.argmax(1) == data.val_labels).float().mean())
                watched.validation(loss=float(regimen.objective(outputs, data.val_labels)), accuracy=accuracy)


def puts_a_copy_to_rest(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A copy is put into evaluation mode and kept as the best; the model itself is asked, in training mode."""
    best = None
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if watched is not None:
            watched.step(loss)
        if (step + 1) % (regimen.steps // 8) == 0:
            best = copy.deepcopy(model).eval()
            with torch.no_grad():
                outputs = model(data.val_inputs)
            if watched is not None:
                accuracy = float((outputs.argmax(1) == data.val_labels).float().mean())
                watched.validation(loss=float(regimen.objective(outputs, data.val_labels)), accuracy=accuracy)
    assert best is not None
