"""What the next update is made of: the tensors that backward was called on since the gradients were last zeroed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .backward import number_of
from .gradient_marks import GradientMarks, Mark
from .scaler import unscaled


class PendingLoss:
    """Sums the losses whose gradients the next update applies, as the loop itself sums them.

    Three gradients are looked at. A backward pass that leaves them as they were was another model's; one before which
    they were zeroed begins a new sum. Inside an optimizer's step (a closure that is called many times)
    the first loss counts: it is the one before the update.
    """

    def __init__(self, gradients: GradientMarks) -> None:
        self._gradients = gradients
        self._losses: list[Tensor | float] = []
        self.marks: list[Mark] = []
        """Of the gradients, as the last backward pass left them."""
        self._before: list[Mark] = []
        self._coming: Tensor | float | None = None
        self._asked_for: Tensor | None = None
        self._cut = 0
        self.inside_step = False
        self.discarded = 0
        self.began_anew = False
        """The backward pass under way begins a new sum: what was computed before it is applied nowhere."""
        self.touched = False
        """The backward pass that ended last gave the model gradients, as far as one can tell."""

    def look_again(self) -> None:
        """Other parameters may have been chosen."""
        self.marks = self._gradients.now()

    def add(self, tensors: Any, gradients: Any) -> None:
        """Count a backward pass that nobody heard begin."""
        self.marks = self._gradients.now()
        value = value_of(tensors, gradients)
        if value is not None:
            self._losses.append(value)

    @property
    def any(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._losses)

    @property
    def last(self) -> Tensor | float | None:
        """What the last backward pass was called on."""
        return self._losses[-1] if self._losses else None

    def hear_grad(self, outputs: Any) -> None:
        """`torch.autograd.grad` was called: where no backward follows, the update comes from there."""
        tensor = first_of(outputs)
        if tensor is not None and tensor.numel() == 1:
            self._asked_for = tensor.detach()

    def cut(self) -> None:
        """The optimizer has stepped: what comes from now on belongs to its next step."""
        self.inside_step = False
        self._cut = len(self._losses)

    def take(self) -> Tensor | float | None:
        """The sum so far; the next begins with nothing."""
        end = self._cut or len(self._losses)
        losses, self._losses, self._cut = self._losses[:end], self._losses[end:], 0
        asked, self._asked_for = self._asked_for, None
        if not losses:
            return asked
        if len(losses) == 1:
            return losses[0]
        return sum(each.float().reshape(()) if isinstance(each, Tensor) else each for each in losses)

    def begins(self, tensors: Any, gradients: Any) -> None:
        """A backward pass begins."""
        self._before = self._gradients.now()
        self.began_anew = self._before != self.marks and not self.inside_step
        if self.began_anew:
            self.discarded += len(self._losses) > self._cut
            del self._losses[self._cut :]
        self._coming = value_of(tensors, gradients)

    def ended(self) -> None:
        """A backward pass is over."""
        self.marks = self._gradients.now()
        self.touched = self.marks != self._before or not self._gradients.chosen
        if self._coming is not None and self.touched and not (self.inside_step and self._losses):
            self._losses.append(self._coming)
        self._coming = None


def first_of(tensors: Any) -> Tensor | None:
    """The tensor, or the first of several."""
    if isinstance(tensors, Tensor):
        return tensors
    return next((each for each in tensors if isinstance(each, Tensor)), None) if tensors is not None else None


def value_of(tensors: Any, gradients: Any) -> Tensor | float | None:
    """The number whose gradient a backward pass computes, without the factor of a gradient scaler (0-dimensional).

    A tensor still where it is on a device.
    """
    if gradients is None and isinstance(tensors, Tensor) and not tensors.dim():
        tensor = unscaled(tensors)
        plain = type(tensor) is Tensor and tensor.is_cpu and tensor.is_floating_point()
        return number_of(tensor) if plain else tensor.detach()
    given = [tensors] if isinstance(tensors, Tensor) else [each for each in tensors if isinstance(each, Tensor)]
    weights = [gradients] if isinstance(gradients, Tensor) or gradients is None else list(gradients)
    weights += [None] * (len(given) - len(weights))
    parts = [_weighted(unscaled(tensor).detach(), weight) for tensor, weight in zip(given, weights, strict=False)]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else torch.stack([part.float() for part in parts]).sum()


def _weighted(tensor: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None or tensor.numel() == 1:
        return tensor.reshape(-1)[0] if tensor.dim() else tensor
    return (tensor * weight.detach()).sum()
