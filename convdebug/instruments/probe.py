"""Runs a model once more without leaving a trace: weights, buffers, modes, random and any other state stay."""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .home import is_elsewhere
from .kept import Kept, Unrepeatable, lies_on, put_numbers, same_bits

MOST_WEIGHTS = 2**26
HOLDING = frozenset({"parameters", "named_parameters", "_parameters", "state_dict"})
"""What weights are taken from in code that does not name them."""
WRITING = frozenset({"data", "renorm", "load_state_dict", "vector_to_parameters", "update_parameters"})
_leave_weights: dict[bool, weakref.WeakSet[nn.Module]] = {True: weakref.WeakSet(), False: weakref.WeakSet()}
"""Models whose pass, in evaluation mode or in their own, was seen to leave their weights alone."""
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

    Raises `Unrepeatable`, before anything is run, where that cannot be held. Weights are copied where the code may
    move them by what it names, and the first time in each mode, to see whether they move.
    """
    kept = Kept(model)
    trusted = model in _leave_weights[evaluation]
    weights = [] if trusted and not _may_write(kept) else _copies_of(kept)
    with torch.no_grad(), probing(), same_random_state(), caches_aside():
        try:
            if evaluation:
                model.eval()
            yield
        finally:
            kept.put_back()
            if trusted or _moved(weights):
                _put_back(weights)
            else:
                _leave_weights[evaluation].add(model)


def writes(names: Iterable[str]) -> bool:
    """Whether code that names these attributes most likely writes to tensors: by a method, or through `data`."""
    return any(name in WRITING or (name.endswith("_") and not name.startswith("_")) for name in names)


def _may_write(kept: Kept) -> bool:
    """Whether the code may write to weights: by a method, or in place in a function that names one."""
    return writes(kept.names) or not kept.names_in_place.isdisjoint(HOLDING | _names_of_weights(kept))


def _names_of_weights(kept: Kept) -> set[str]:
    names: set[str] = set()
    for module in kept.modules:
        names.update(module._parameters)
        for name, child in module._modules.items():
            if isinstance(child, nn.ParameterList | nn.ParameterDict):
                names.add(name)
    return names


def _copies_of(kept: Kept) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
    parameters = {
        id(each): each
        for module in kept.modules
        for each in module._parameters.values()
        if type(each) is nn.Parameter and not each.is_meta
    }
    if sum(each.numel() for each in parameters.values()) > MOST_WEIGHTS:
        if writes(kept.names):
            raise Unrepeatable("its own code may write to its weights, which are too many to copy")
        return []
    return [(each, each.data, each.detach().clone()) for each in parameters.values()]


def _moved(weights: list[tuple[nn.Parameter, Tensor, Tensor]]) -> bool:
    """Whether any has other values or other memory than before (a CPU–GPU sync point)."""
    return any(not lies_on(parameter, own) or not same_bits(own, copy) for parameter, own, copy in weights)


def _put_back(weights: list[tuple[nn.Parameter, Tensor, Tensor]]) -> None:
    for parameter, own, copy in weights:
        if not lies_on(parameter, own):
            parameter.data = own
        put_numbers(own, copy)


@contextmanager
def caches_aside() -> Iterator[None]:
    """What torch remembers of weights while a user lets it (autocast, `parametrize.cached`) is not ours to fill."""
    cast, computed = torch.is_autocast_cache_enabled(), parametrize._cache
    torch.set_autocast_cache_enabled(False)
    parametrize._cache = {}
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(cast)
        parametrize._cache = computed


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
