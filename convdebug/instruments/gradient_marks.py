"""Tells whether the gradients of a model were replaced or written to, by those of three of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

Mark = tuple[int, int] | None
"""Which object a gradient is, and how often it was written to; None where there is none."""


class GradientMarks:
    """Of the first, the middle and the last trained parameter."""

    def __init__(self) -> None:
        self.chosen: list[nn.Parameter] = []

    def choose(self, parameters: Sequence[tuple[str, nn.Parameter]]) -> None:
        """The parameters of the model: choose those to look at."""
        trained = [parameter for _, parameter in parameters if parameter.requires_grad]
        self.chosen = [trained[place] for place in sorted({0, len(trained) // 2, len(trained) - 1})] if trained else []

    def now(self) -> list[Mark]:
        """What tells each gradient from one that was replaced or written to since."""
        marks: list[Mark] = []
        for parameter in self.chosen:  # a comprehension is one more call
            gradient = parameter.grad
            marks.append(None if gradient is None else (id(gradient), gradient._version))
        return marks
