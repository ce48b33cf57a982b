"""Counts the backward passes whose gradients were zeroed before any optimizer had stepped with them."""

from __future__ import annotations

from torch import nn

from .fetching import Fetched
from .gradient_marks import GradientMarks, Mark


class Unused:
    """`count`: the passes that were thrown away, each on a batch of its own; `steps` before which some were.

    The gradients of three parameters are looked at. Several passes on one batch belong together
    (attacks, gradients of single examples), as do those inside an optimizer's step (a closure). A gradient that the
    loop wrote before a step may be made of all passes since the last step: then none of these counts. One that it
    wrote between two passes is thrown away only if it is zero now: it may have been clipped.
    """

    def __init__(self, gradients: GradientMarks) -> None:
        self._gradients = gradients
        self.count = self.steps = 0
        self._marks: list[Mark] = []
        self._waiting = self._thrown = 0
        self._fetched = 0
        self._inside = False
        self._before: list[Mark] = []

    def backward_begins(self) -> None:
        """Look whether what the passes before it gave was zeroed in the meantime."""
        self._before = self._gradients.in_backward()
        if not self._waiting or self._inside or self._before == self._marks:
            return
        if all(map(_is_zeroed, self._gradients.chosen)):
            if Fetched.count > self._fetched:
                self._thrown += self._waiting
            self._waiting = 0

    def backward_ended(self) -> None:
        """One more pass waits for a step, if it gave these parameters anything."""
        self._marks = self._gradients.in_backward()
        if self._marks != self._before and not self._inside:
            self._waiting += 1
            self._fetched = Fetched.count

    def step_begins(self) -> None:
        """An optimizer uses what there is."""
        if self._thrown and self._gradients.now() == self._marks:
            self.count += self._thrown
            self.steps += 1
        self._waiting = self._thrown = 0
        self._inside = True

    def step_ended(self) -> None:
        """What comes now is for the next step."""
        self._inside = False


def _is_zeroed(parameter: nn.Parameter) -> bool:
    """Whether a parameter's gradient is gone or zero; one on a device is not waited for."""
    gradient = parameter.grad
    return gradient is None or (gradient.device.type == "cpu" and not gradient.any())
