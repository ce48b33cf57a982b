"""Runs a model once more without leaving a trace: random state, buffers and module modes are as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_depth = [0]


def is_probing() -> bool:
    """Whether the pass under way is our own, not the user's."""
    return _depth[0] > 0


@contextmanager
def unnoticed(model: nn.Module, evaluation: bool = False) -> Iterator[None]:
    """Inside, gradients are off and, if asked for, the model is in evaluation mode; afterwards nothing has changed."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    with _same_random_state(), torch.no_grad():
        _depth[0] += 1
        try:
            if evaluation:
                model.eval()
            yield
        finally:
            _depth[0] -= 1
            for module, mode in modes:
                module.training = mode
            for module, name, buffer, copy in buffers:
                module._buffers[name] = buffer
                buffer.data.copy_(copy)  # through .data: a backward pass still to come must not see a new version


@contextmanager
def _same_random_state() -> Iterator[None]:
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
