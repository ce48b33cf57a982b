"""Sees gradient clipping: how large the gradient was, and how large it was allowed to be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils import clip_grad

from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("clipping/size", "clipping/limit")
Told = Callable[[list[Any], Any, float], None]
"""Called with the parameters, the norm of their gradients (None for clipping by value) and the limit."""

PLACES = [(clip_grad, "_clip_grads_with_norm_"), (clip_grad, "clip_grad_value_"), (torch.nn.utils, "clip_grad_value_")]
"""`clip_grad_norm_` itself may have been imported by name; what it calls inside its module is always heard."""
_listeners: list[Told] = []
_originals: list[tuple[Any, str, Any]] = []


def listen_to_clipping(told: Told) -> None:
    """From now on tell `told` of every clipping of gradients by torch's own functions."""
    if not _listeners:
        for module, name in PLACES:
            if hasattr(module, name):
                original = getattr(module, name)
                _originals.append((module, name, original))
                setattr(module, name, _by_value(original) if "value" in name else _by_norm(original))
    _listeners.append(told)


def stop_listening_to_clipping(told: Told) -> None:
    """The last listener to leave puts torch's own functions back."""
    if told in _listeners:
        _listeners.remove(told)
    if not _listeners:
        for module, name, original in _originals:
            setattr(module, name, original)
        _originals.clear()


def _by_norm(original: Any) -> Any:
    @functools.wraps(original)
    def clip(parameters: Any, max_norm: float, total_norm: Any, *args: Any, **kwargs: Any) -> Any:
        held = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        for told in tuple(_listeners):
            told(held, total_norm, float(max_norm))
        return original(held, max_norm, total_norm, *args, **kwargs)

    return clip


def _by_value(original: Any) -> Any:
    @functools.wraps(original)
    def clip(parameters: Any, clip_value: float, *args: Any, **kwargs: Any) -> Any:
        held = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        for told in tuple(_listeners):
            told(held, None, float(clip_value))
        return original(held, clip_value, *args, **kwargs)

    return clip


class Clipping(Instrument):
    """`clipping/size` (norm of the gradient, or its largest value) before clipping, and `clipping/limit`."""

    name: ClassVar[str] = "clipping"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._armed = False
        self._seen: tuple[Tensor, float] | None = None
        listen_to_clipping(self._hear)

    def arm(self, moment: Moment) -> None:
        self._armed, self._seen = True, None

    def disarm(self) -> None:
        self._armed = False

    def fall_silent(self) -> None:
        stop_listening_to_clipping(self._hear)

    def finish(self) -> None:
        self.fall_silent()

    def _hear(self, parameters: list[Any], norm: Any, limit: float) -> None:
        if not self._armed or not self._holds_ours(parameters):
            return
        size = _largest(parameters) if norm is None else norm
        if isinstance(size, Tensor):
            self._seen = (size.detach(), limit)

    def _holds_ours(self, parameters: Iterable[Any]) -> bool:
        ours = {id(parameter) for _, parameter in self.scene.parameters}
        return any(id(parameter) in ours for parameter in parameters)

    def record(self, moment: Moment) -> None:
        if self._seen is None:
            return
        (size, limit), self._seen = self._seen, None
        self.scene.readback.put(
            size.reshape(1), lambda row: self.table.append(moment.step, SERIES, (float(row[0]), limit))
        )


def _largest(parameters: Iterable[Any]) -> Tensor | None:
    peaks = [each.grad.detach().abs().max() for each in parameters if getattr(each, "grad", None) is not None]
    return torch.stack([peak.to(peaks[0].device) for peak in peaks]).max() if peaks else None
