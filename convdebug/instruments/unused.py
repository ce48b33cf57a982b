"""Counts the backward passes whose gradients were zeroed before any optimizer had stepped with them."""

from __future__ import annotations

from torch import nn

from .fetching import Fetched
from .gradient_marks import GradientMarks, Mark


class Unused:
    """`count`: the passes that were thrown away, each on a batch of its own; `steps` before which some were.

    The gradients of three parameters are looked at, by whoever tells this of passes and steps. Several passes on one
    batch belong together (attacks, gradients of single examples), as do those inside an optimizer's step (a closure),
    of which it is not told. A gradient that the loop wrote before a step may be made of all passes since the last
    step: then none of these counts. One that it wrote between two passes is thrown away only if it is zero now: it may
    have been clipped.
    """

    def __init__(self, gradients: GradientMarks) -> None:
        self._gradients = gradients
        self.count = self.steps = 0
        self._waiting = self._thrown = 0
        self._fetched = 0

    def written_between(self) -> None:
        """A backward pass begins, and gradients were written to since the last one: look whether they were zeroed."""
        if self._waiting and all(map(_is_zeroed, self._gradients.chosen)):
            if Fetched.count > self._fetched:
                self._thrown += self._waiting
            self._waiting = 0

    def gave(self) -> None:
        """A backward pass gave these parameters something: one more waits for a step."""
        self._waiting += 1
        self._fetched = Fetched.count

    def step_begins(self, marks: list[Mark]) -> None:
        """An optimizer uses what there is; `marks` are those that the last backward pass left."""
        if self._thrown and self._gradients.now() == marks:
            self.count += self._thrown
            self.steps += 1
        self._waiting = self._thrown = 0


def _is_zeroed(parameter: nn.Parameter) -> bool:
    """Whether a parameter's gradient is gone or zero; one on a device is not waited for."""
    gradient = parameter.grad
    return gradient is None or (gradient.device.type == "cpu" and not gradient.any())
