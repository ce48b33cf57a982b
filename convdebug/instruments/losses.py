"""Sees the scores and labels that the loss functions of torch are given, wherever the user's code calls them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = (
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "poisson_nll_loss",
    "hinge_embedding_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
)

Told = Callable[[str, Any, Any, Any, Any], None]
"""Called with the loss's name, its input, its target, its value and its reduction."""

_listeners: list[Told] = []
_unrecorded_listeners: list[Told] = []
_originals: dict[str, Any] = {}
_settings: dict[str, tuple[Any, Any]] = {}
"""How each loss function was called last: its weights, its smoothing."""


def listen(told: Told) -> None:
    """From now on tell `told` of every loss that is computed while gradients are recorded."""
    if not _listeners:
        for name in LOSSES:
            _originals[name] = getattr(F, name)
            setattr(F, name, _wrapped(name, _originals[name]))
    _listeners.append(told)


def stop_listening(told: Told) -> None:
    """The last listener to leave puts torch's own functions back."""
    if told in _listeners:
        _listeners.remove(told)
    if not _listeners:
        for name, original in _originals.items():
            setattr(F, name, original)
        _originals.clear()


def listen_unrecorded(told: Told) -> None:
    """While anybody listens, tell `told` of every loss that is computed while no gradients are recorded."""
    _unrecorded_listeners.append(told)


def stop_listening_unrecorded(told: Told) -> None:
    """Undo `listen_unrecorded`."""
    if told in _unrecorded_listeners:
        _unrecorded_listeners.remove(told)


def _wrapped(name: str, original: Any) -> Any:
    @functools.wraps(original)
    def loss(input: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        value = original(input, target, *args, **kwargs)
        if not torch.compiler.is_compiling() and isinstance(value, Tensor):
            _settings[name] = (args, kwargs)
            tell(name, input, target, value, kwargs.get("reduction", "mean"))
        return value

    return loss


def computed_again(name: str, scores: Tensor, labels: Tensor) -> Tensor:
    """The loss function of that name, unheard, with the settings it was last called with."""
    args, kwargs = _settings.get(name, ((), {}))
    return _originals.get(name, getattr(F, name))(scores, labels, *args, **kwargs)


def tell(name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
    """Tell those who listen of a loss: of one computed with recorded gradients, or of one without."""
    for told in tuple(_listeners if torch.is_grad_enabled() else _unrecorded_listeners):
        told(name, scores, labels, value, reduction)
