"""Hears loss modules of the script's own: modules without parameters that give one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from convdebug.instruments.hook import Hook
from convdebug.instruments.losses import tell


class Criteria:
    """Hooks on such modules, found once a model is trained; what they give is told like a loss of torch."""

    def __init__(self) -> None:
        self._hooks: list[RemovableHandle] = []

    def find(self, modules: Sequence[nn.Module]) -> None:
        """Look among these modules for those that may be a loss."""
        inside = {id(child) for module in modules for child in module.__dict__.get("_modules", {}).values()}
        for module in modules:
            if id(module) not in inside and is_of_the_script(module):
                self._hooks.append(module.register_forward_hook(Hook(_hear)))

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def is_of_the_script(module: nn.Module) -> bool:
    """Whether a module computes something without parameters, and is none of torch's own."""
    own = not type(module).__module__.startswith(("torch.", "convdebug."))
    return own and not isinstance(module, torch.jit.ScriptModule) and next(module.parameters(), None) is None


def _hear(module: nn.Module, _inputs: Any, output: Any) -> None:
    number = isinstance(output, Tensor) and output.numel() == 1 and output.is_floating_point()
    if number and not torch.compiler.is_compiling():
        tell(type(module).__name__, None, None, output, "mean")
