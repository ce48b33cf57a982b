"""Hears which of the modules that may be trained is called from outside, until that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from convdebug.instruments.hook import Hook


class Doors:
    """Hooks on candidates; `entered` is told of a module that the script itself calls while gradients are recorded."""

    def __init__(self, entered: Callable[[nn.Module], None]) -> None:
        self._entered = entered
        self._hooks: dict[int, list[RemovableHandle]] = {}
        self._depth = 0

    def __deepcopy__(self, _memo: Any) -> Doors:
        return self  # a copy of the model (an average of its weights) brings its hooks along

    def add(self, module: nn.Module) -> None:
        if id(module) not in self._hooks and not isinstance(module, torch.jit.ScriptModule):
            self._hooks[id(module)] = [
                module.register_forward_pre_hook(Hook(self._enter), with_kwargs=True),
                module.register_forward_hook(Hook(self._leave), always_call=True),
            ]

    def remove(self, module: nn.Module) -> None:
        """No longer listen at this module and at all that are inside it."""
        for each in module.modules():
            for hook in self._hooks.pop(id(each), []):
                hook.remove()

    def take_over(self, wrapper: nn.Module) -> None:
        """A wrapper was made around modules that are listened at: listen at the wrapper instead."""
        if any(id(each) in self._hooks for each in wrapper.modules()):
            self.remove(wrapper)
            self.add(wrapper)

    def close(self) -> None:
        for hooks in self._hooks.values():
            for hook in hooks:
                hook.remove()
        self._hooks.clear()

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if torch.compiler.is_compiling():
            return
        self._depth += 1
        if self._depth == 1 and torch.is_grad_enabled():
            known = set(module._forward_pre_hooks)
            self._entered(module)
            if id(module) not in self._hooks:  # known by now: nobody will hear it being left
                self._depth = 0
            _call_fresh_hooks(module, known, inputs, keywords)

    def _leave(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        if not torch.compiler.is_compiling():
            self._depth = max(0, self._depth - 1)


def _call_fresh_hooks(module: nn.Module, known: set[int], inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Hooks that were added while the module is being entered would hear only its next call."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if key not in known:
            if key in module._forward_pre_hooks_with_kwargs:
                hook(module, inputs, keywords)
            else:
                hook(module, inputs)
