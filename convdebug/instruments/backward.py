"""Hears when the backward pass begins and ends, wherever the user's code calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Told = Callable[[bool], None]
"""Called with True as a backward pass begins and with False as it ends."""

_listeners: list[Told] = []
_originals: list[Any] = []
_under_way: list[Any] = []


def roots() -> list[Tensor]:
    """The tensors from which the backward pass under way began."""
    begun = _under_way[-1] if _under_way else ()
    given = [begun] if isinstance(begun, Tensor) else list(begun)
    return [each for each in given if isinstance(each, Tensor)]


def listen_to_backward(told: Told) -> None:
    """From now on tell `told` of every backward pass; `Tensor.backward` calls the patched function too."""
    if told in _listeners:
        return
    if not _listeners:
        _originals.append(torch.autograd.backward)
        torch.autograd.backward = _wrapped(torch.autograd.backward)
    _listeners.append(told)


def stop_listening_to_backward(told: Told) -> None:
    """The last listener to leave puts torch's own function back."""
    if told in _listeners:
        _listeners.remove(told)
    if not _listeners and _originals:
        torch.autograd.backward = _originals.pop()


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        heard = tuple(_listeners)
        _under_way.append(args[0] if args else kwargs.get("tensors", ()))
        for told in heard:
            told(True)
        try:
            return original(*args, **kwargs)
        finally:
            for told in heard:
                told(False)
            _under_way.pop()

    return backward
