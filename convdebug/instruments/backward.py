"""Hears when the backward pass begins and ends and from which tensors, wherever the user's code calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from threading import get_ident
from typing import Any

import torch
from torch import Tensor

from .home import heard_in
from .mapped import is_mapped
from .probe import depth, is_probing

Told = Callable[[bool], None]
"""Called with True as a backward pass begins and with False as it ends."""
ToldOfTensors = Callable[[bool, Any, Any], None]
"""The same, with the tensors that backward was called on and the gradients that were given for them."""

_listeners: list[Told] = []
_tensor_listeners: list[ToldOfTensors] = []
_grad_listeners: list[Callable[[Any], None]] = []
_originals: dict[str, Any] = {}
_under_way: list[Any] = []
_moments = [0]
_numbers: list[float] = []
"""What the tensor is that backward was called on, once somebody has asked."""


def roots() -> list[Tensor]:
    """The tensors from which the backward pass under way began."""
    begun = _under_way[-1] if _under_way else ()
    given = [begun] if isinstance(begun, Tensor) else list(begun)
    return [each for each in given if isinstance(each, Tensor)]


def scalar_root() -> Tensor | None:
    """The first tensor of one element from which the backward pass under way began."""
    begun = _under_way[-1] if _under_way else ()
    if type(begun) is Tensor:
        return begun if begun.numel() == 1 else None
    return next((each for each in roots() if each.numel() == 1), None)


def moment_number() -> int:
    """Counts the beginnings and the ends of backward passes: tells one such moment from the next."""
    return _moments[0]


def number_of(tensor: Tensor) -> float:
    """The value of a tensor of one element; of the one that backward was called on it is read once for all."""
    if not _under_way or _under_way[-1] is not tensor:
        return tensor.item()
    if not _numbers:
        _numbers.append(tensor.item())
    return _numbers[0]


def listen_to_backward(told: Told) -> None:
    """From now on tell `told` of every backward pass; `Tensor.backward` calls the patched function too."""
    if told not in _listeners:
        _patch()
        _listeners.append(told)


def stop_listening_to_backward(told: Told) -> None:
    """The last listener to leave puts torch's own function back."""
    if told in _listeners:
        _listeners.remove(told)
    _unpatch_if_idle()


def listen_to_tensors(told: ToldOfTensors, told_of_grad: Callable[[Any], None] | None = None) -> None:
    """As `listen_to_backward`, with the tensors; `told_of_grad` hears what `torch.autograd.grad` is called on."""
    _patch()
    _tensor_listeners.append(told)
    if told_of_grad is not None:
        _grad_listeners.append(told_of_grad)


def stop_listening_to_tensors(told: ToldOfTensors, told_of_grad: Callable[[Any], None] | None = None) -> None:
    """Undo `listen_to_tensors`."""
    if told in _tensor_listeners:
        _tensor_listeners.remove(told)
    if told_of_grad in _grad_listeners:
        _grad_listeners.remove(told_of_grad)
    _unpatch_if_idle()


def _patch() -> None:
    if not _originals:
        _originals.update(backward=torch.autograd.backward, grad=torch.autograd.grad)
        torch.autograd.backward = _wrapped(torch.autograd.backward)
        torch.autograd.grad = _wrapped_grad(torch.autograd.grad)


def _unpatch_if_idle() -> None:
    if _originals and not _listeners and not _tensor_listeners:
        torch.autograd.backward, torch.autograd.grad = _originals["backward"], _originals["grad"]
        _originals.clear()


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def backward(tensors: Any, grad_tensors: Any = None, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or depth[0] or (heard_in and heard_in[0] != get_ident()):
            return original(tensors, grad_tensors, *args, **kwargs)
        heard, heard_tensors = tuple(_listeners), tuple(_tensor_listeners)
        _under_way.append(tensors)
        _numbers.clear()
        _moments[0] += 1
        for told in heard_tensors:
            told(True, tensors, grad_tensors)
        for hearer in heard:
            hearer(True)
        try:
            return original(tensors, grad_tensors, *args, **kwargs)
        finally:
            _moments[0] += 1
            for hearer in heard:
                hearer(False)
            for told in reversed(heard_tensors):
                told(False, tensors, grad_tensors)
            _under_way.pop()
            _numbers.clear()

    return backward


def _wrapped_grad(original: Any) -> Any:
    @functools.wraps(original)
    def grad(outputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling() and not is_probing() and not is_mapped():
            for told in tuple(_grad_listeners):
                told(outputs)
        return original(outputs, *args, **kwargs)

    return grad
