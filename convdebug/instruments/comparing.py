"""Hears when two tensors are compared for equality: in evaluations that is how people count right answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Told = Callable[[Any, Any], None]

_listeners: list[Told] = []
_originals: dict[str, Any] = {}
_busy: list[bool] = []


def listen_to_comparisons(told: Told) -> None:
    """From now on tell `told` what `==`, `Tensor.eq` and `torch.eq` compare."""
    if not _originals:
        _originals.update(function=torch.eq, method=Tensor.eq, operator=Tensor.__eq__)
        torch.eq = _wrapped(torch.eq)
        Tensor.eq = _wrapped(Tensor.eq)  # type: ignore[method-assign]
        Tensor.__eq__ = _wrapped(Tensor.__eq__)  # type: ignore[method-assign]
    _listeners.append(told)


def stop_listening_to_comparisons(told: Told) -> None:
    """The last listener to leave puts torch's own functions back."""
    if told in _listeners:
        _listeners.remove(told)
    if not _listeners and _originals:
        torch.eq = _originals["function"]
        del Tensor.eq, Tensor.__eq__  # what Tensor inherits shows again
        _originals.clear()


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def eq(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 2 and not torch.compiler.is_compiling() and not _busy:
            _busy.append(True)  # what the listeners compare themselves goes unheard
            try:
                for told in tuple(_listeners):
                    told(*args)
            finally:
                _busy.clear()
        return original(*args, **kwargs)

    return eq
