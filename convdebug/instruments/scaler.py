"""Hears when a gradient scaler is asked to step an optimizer, and remembers what it scaled."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Told = Callable[[Any], None]
"""Called with the optimizer."""

_asked: list[Told] = []
_answered: list[Told] = []
_originals: list[Any] = []
_scaled: list[tuple[weakref.ref[Tensor], weakref.ref[Tensor], Tensor]] = []
MOST_SCALED = 16


def listen_to_scaler(asked: Told, answered: Told | None = None) -> None:
    """Tell `asked` when a scaler is asked to step an optimizer, `answered` when it has stepped or skipped it."""
    if not _asked:
        _originals[:] = [torch.amp.GradScaler.step, torch.amp.GradScaler.scale]
        torch.amp.GradScaler.step = _telling(torch.amp.GradScaler.step)  # type: ignore[method-assign]
        torch.amp.GradScaler.scale = _remembering(torch.amp.GradScaler.scale)  # type: ignore[method-assign]
    _asked.append(asked)
    if answered is not None:
        _answered.append(answered)


def stop_listening_to_scaler(asked: Told, answered: Told | None = None) -> None:
    """The last listener to leave puts torch's own methods back."""
    if asked in _asked:
        _asked.remove(asked)
    if answered in _answered:
        _answered.remove(answered)
    if not _asked and _originals:
        torch.amp.GradScaler.step, torch.amp.GradScaler.scale = _originals  # type: ignore[method-assign]
        _originals.clear()
        _scaled.clear()


def unscaled(tensor: Tensor) -> Tensor:
    """The tensor that a gradient scaler made this one of, or the tensor itself."""
    if not _scaled:
        return tensor
    return next((value for scaled, _original, value in _scaled if scaled() is tensor), tensor)


def scaled_from(tensor: Tensor) -> Tensor:
    """As `unscaled`, with its graph where the loop still holds it."""
    found = next((original() for scaled, original, _value in _scaled if scaled() is tensor), tensor)
    return tensor if found is None else found


def _telling(original: Any) -> Any:
    @functools.wraps(original)
    def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        for told in tuple(_asked):
            told(optimizer)
        result = original(scaler, optimizer, *args, **kwargs)
        for told in tuple(_answered):
            told(optimizer)
        return result

    return step


def _remembering(original: Any) -> Any:
    @functools.wraps(original)
    def scale(scaler: Any, outputs: Any) -> Any:
        scaled = original(scaler, outputs)
        if isinstance(outputs, Tensor) and scaled is not outputs:
            _scaled.append((weakref.ref(scaled), weakref.ref(outputs), outputs.detach()))
            del _scaled[:-MOST_SCALED]
        return scaled

    return scale
