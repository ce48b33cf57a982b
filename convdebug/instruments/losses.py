"""Sees the scores and labels that the loss functions of torch are given, wherever the user's code calls them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .home import heard_in
from .mapped import is_mapped, transform
from .probe import depth
from .scripting import stand_aside, stand_aside_no_more
from .taken import Taken, put_back, replace_taken

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

REDUCTION = 4
"""The place of the reduction among the arguments after the labels, in losses of classes."""

POSITIVE_WEIGHT = 4
"""The place of `pos_weight` there, in the one loss that has it; others have no tensor in this place."""

Told = Callable[[str, Any, Any, Any, Any], None]
"""Called with the loss's name, its input, its target, its value and its reduction."""

_listeners: list[Told] = []
_unrecorded_listeners: list[Told] = []
ToldCall = Callable[[str, tuple[Any, ...], dict[str, Any], Tensor], None]
"""Called with the loss's name, all its arguments and its value."""

_call_listeners: list[ToldCall] = []
_holds: list[bool] = []
_originals: dict[str, Any] = {}
_wrappers: dict[str, Any] = {}
_taken: list[Taken] = []
_settings: dict[str, tuple[Any, Any]] = {}
"""How each loss function was called last: its weights, its smoothing."""


def listen(told: Told) -> None:
    """From now on tell `told` of every loss that is computed while gradients are recorded."""
    _wrap_all()
    _listeners.append(told)


def listen_to_calls(told: ToldCall) -> None:
    """The same for one who wants all arguments."""
    _wrap_all()
    _call_listeners.append(told)


def original(name: str) -> Any:
    """Torch's own function, which tells nobody."""
    return _originals.get(name) or getattr(F, name)


def stop_listening(told: Told) -> None:
    """The last listener to leave puts torch's own functions back."""
    if told in _listeners:
        _listeners.remove(told)
    _unwrap_all()


def stop_listening_to_calls(told: ToldCall) -> None:
    """The last listener to leave puts torch's own functions back."""
    if told in _call_listeners:
        _call_listeners.remove(told)
    _unwrap_all()


def hold() -> None:
    """Wrap the functions now, so that whoever takes one from torch by name from here on takes one that is heard."""
    _wrap_all(look_around=False)
    _holds.append(True)


def let_go() -> None:
    """Undo `hold`."""
    if _holds:
        _holds.pop()
    _unwrap_all()


def _wrap_all(look_around: bool = True) -> None:
    if not _originals:
        _originals.update({name: getattr(F, name) for name in LOSSES})
        _wrappers.update({name: _wrapped(name, original) for name, original in _originals.items()})
        stand_aside(_own_functions)
        _set(_wrappers)
        if look_around:
            _taken.extend(replace_taken([(_originals[name], _wrappers[name]) for name in LOSSES]))


def _unwrap_all() -> None:
    if _originals and not _listeners and not _call_listeners and not _holds:
        _set(_originals)
        stand_aside_no_more(_own_functions)
        put_back(_taken)
        _originals.clear()
        _wrappers.clear()


def _set(functions: dict[str, Any]) -> None:
    for name, function in functions.items():
        setattr(F, name, function)


@contextmanager
def _own_functions(_args: tuple[Any, ...], _keywords: dict[str, Any]) -> Iterator[None]:
    """TorchScript can compile torch's own functions only."""
    own = replace_taken([(_wrappers[name], _originals[name]) for name in LOSSES])
    _set(_originals)
    try:
        yield
    finally:
        _set(_wrappers)
        put_back(own)


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
        if torch.compiler.is_compiling() or depth[0] or (heard_in and heard_in[0] != get_ident()):
            return value
        if transform() is not None and is_mapped():
            return value
        if isinstance(value, Tensor):
            _settings[name] = (args, kwargs)
            _tell(name, input, target, value, kwargs.get("reduction", "mean"))
            for heard in _call_listeners:
                heard(name, (input, target, *args), kwargs, value)
        return value

    return loss


def computed_again(name: str, scores: Tensor, labels: Tensor) -> Tensor:
    """The mean of the loss function of that name, unheard, with the settings it was last called with."""
    args, kwargs = _settings.get(name, ((), {}))
    return original(name)(scores, labels, *args[:REDUCTION], **{**kwargs, "reduction": "mean"})


def ignored_label(name: str) -> int:
    """The class that a loss function of classes was told to ignore when it was called last."""
    args, kwargs = _settings.get(name, ((), {}))
    return int(kwargs.get("ignore_index", args[2] if len(args) > 2 else -100))


def has_weights(name: str) -> bool:
    """Whether a loss function was given weights when it was called last: of classes, or of single values (a mask)."""
    args, kwargs = _settings.get(name, ((), {}))
    return kwargs.get("weight", args[0] if args else None) is not None


def favours_classes(name: str) -> bool:
    """Whether a loss function was given weights when it was called last, `pos_weight` of a binary one among them."""
    args, kwargs = _settings.get(name, ((), {}))
    positive = kwargs.get("pos_weight", args[POSITIVE_WEIGHT] if len(args) > POSITIVE_WEIGHT else None)
    return has_weights(name) or isinstance(positive, Tensor)


def tell(name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
    """Tell those who listen of a loss: of one computed with recorded gradients, or of one without."""
    if not is_mapped():
        _tell(name, scores, labels, value, reduction)


def _tell(name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
    for told in tuple(_listeners if torch.is_grad_enabled() else _unrecorded_listeners):
        told(name, scores, labels, value, reduction)
