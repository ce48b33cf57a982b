"""Lets a model run once more on copies of its weights and buffers, so that the training cannot notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from convdebug.instruments.kept import Kept
from convdebug.instruments.probe import caches_aside, probing, same_random_state


@contextmanager
def isolated(model: nn.Module) -> Iterator[None]:
    """Inside, every module works on copies; afterwards weights, buffers, attributes and random states are untouched.

    Copies rather than restored originals: the graph of the user's own backward pass, still to come, must not see a
    new version of anything, and no hook that hangs on a parameter may be called. Raises `Unrepeatable`, before anything
    is run, where other state cannot be put back.
    """
    copies: dict[int, Tensor] = {}
    kept = Kept(model, registered=False)
    with probing(), same_random_state(), caches_aside():
        try:
            for module in kept.modules:
                _work_on_copies(module, copies)
            yield
        finally:
            kept.put_back()


def _work_on_copies(module: nn.Module, copies: dict[int, Tensor]) -> None:
    for name, parameter in module._parameters.items():
        if type(parameter) is nn.Parameter:
            copy = copies.get(id(parameter))
            if copy is None:
                copy = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
                copies[id(parameter)] = copy
            module._parameters[name] = copy  # type: ignore[assignment]
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())


def copied(value: Any) -> Any:
    """The same arguments with every tensor copied: a forward pass may change what it is given in place."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()} if type(value) is dict else value
    if type(value) in (tuple, list):
        return type(value)(copied(each) for each in value)
    return value


def tensors_in(value: Any, most: int = 16) -> list[Tensor]:
    """The floating tensors in a tensor, dict, tuple, list or dataclass, in their order."""
    found: list[Tensor] = []
    _gather(value, found, most)
    return found


def _gather(value: Any, found: list[Tensor], most: int) -> None:
    if isinstance(value, Tensor):
        if value.is_floating_point() and len(found) < most:
            found.append(value)
        return
    if isinstance(value, dict):
        value = list(value.values())
    elif hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, name, None) for name in value.__dataclass_fields__]
    if isinstance(value, list | tuple):
        for part in value:
            _gather(part, found, most)


def versions_of(tensors: list[Tensor]) -> list[int]:
    """How often each tensor has been written to in place; inference tensors do not count that."""
    return [-1 if tensor.is_inference() else tensor._version for tensor in tensors]


def devices_used(model: nn.Module) -> set[torch.device]:
    """Where the parameters lie."""
    return {parameter.device for parameter in model.parameters()}
