"""An optimizer under which real forward and backward passes can be watched while the weights stand still."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


class Standing(torch.optim.Optimizer):
    """Steps like any optimizer and leaves every weight as it is."""

    def __init__(self, parameters: Sequence[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Ask the closure for the loss, where there is one."""
        return closure() if closure is not None else None
