"""Runs a model once more without leaving a trace: random state, buffers, module modes and attributes stay."""

from __future__ import annotations

import random
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .home import is_elsewhere

CONTAINERS = (list, dict, set, deque)
MOST_WEIGHTS = 2**26
_leave_weights: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Models whose forward pass was seen to leave their weights alone."""
depth = [0]
"""More than 0 while what is computed is our own; read as it is where that is asked at every step."""


def is_probing() -> bool:
    """Whether what is computed at this moment is our own, not the user's, or in a thread that is not heard."""
    return depth[0] > 0 or is_elsewhere()


class _Probing:
    """A class, as it is entered several times in every step: a generator costs three times as much."""

    def __enter__(self) -> None:
        depth[0] += 1

    def __exit__(self, *error: object) -> None:
        depth[0] -= 1


_probing = _Probing()


def probing() -> _Probing:
    """What is computed inside is our own: nobody listens to it."""
    return _probing


@contextmanager
def unnoticed(model: nn.Module, evaluation: bool = False) -> Iterator[None]:
    """Inside, gradients are off and, if asked for, the model is in evaluation mode; afterwards nothing has changed.

    Whether a model moves weights of its own in its forward pass (the average of an encoder) is found out at the first
    time, on which all are copied; a model of more than 2^26 weights is trusted not to.
    """
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    weights = [] if model in _leave_weights else _copies_of(model)
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(probing())
        stack.enter_context(same_random_state())
        for module in list(model.modules()):
            stack.enter_context(attributes_kept(module))
        try:
            if evaluation:
                model.eval()
            yield
        finally:
            for module, name, buffer, copy in buffers:
                module._buffers[name] = buffer
                buffer.data.copy_(copy)  # through .data: a backward pass still to come must not see a new version
            _put_back(model, weights)


def _copies_of(model: nn.Module) -> list[tuple[nn.Parameter, Tensor, int]]:
    parameters = [each for each in model.parameters() if type(each) is nn.Parameter]
    if sum(each.numel() for each in parameters) > MOST_WEIGHTS:
        return []
    return [(each, each.detach().clone(), each._version) for each in parameters]


def _put_back(model: nn.Module, weights: list[tuple[nn.Parameter, Tensor, int]]) -> None:
    moved = [(parameter, copy) for parameter, copy, version in weights if parameter._version != version]
    for parameter, copy in moved:
        parameter.data.copy_(copy)
    if not moved:
        _leave_weights.add(model)


@contextmanager
def same_random_state() -> Iterator[None]:
    python, array = random.getstate(), np.random.get_state()
    host = torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
        torch.set_rng_state(host)
        if devices:
            torch.cuda.set_rng_state_all(devices)


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """What a forward pass counts, stores or appends on the module itself is taken back, and what a generator drew."""
    own = dict(module.__dict__)
    contents = [(value, value.copy()) for value in own.values() if type(value) in CONTAINERS]
    sources = [(value, value.get_state()) for value in own.values() if isinstance(value, torch.Generator)]
    try:
        yield
    finally:
        for source, state in sources:
            source.set_state(state)
        for name in module.__dict__.keys() - own.keys():
            del module.__dict__[name]
        module.__dict__.update(own)
        for container, content in contents:
            _refill(container, content)


def _refill(container: Any, content: Any) -> None:
    container.clear()
    (container.extend if isinstance(container, list | deque) else container.update)(content)
