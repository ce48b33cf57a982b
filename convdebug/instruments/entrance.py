"""What the first layer with weights is given, which a norm or a fixed scaling before it may have changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.hooks import RemovableHandle

from .anatomy import first_tensor
from .harmless import harmless
from .hook import Hook
from .mapped import is_mapped
from .probe import is_probing


class Entrance:
    """Listens to one forward pass with recorded gradients; `told` gets {layer, mean, std} of the first layer called.

    Layers are the leaves with a parameter of two or more dimensions: convolutions, matrices, embeddings. A layer that
    is given no floating numbers is told without mean and deviation.
    """

    def __init__(self, model: nn.Module, told: Callable[[dict[str, Any]], None]) -> None:
        self._told = told
        self.broken = False
        self._hooks: list[RemovableHandle] = [
            module.register_forward_pre_hook(Hook(partial(self._hear, name)), with_kwargs=True)
            for name, module in model.named_modules()
            if is_weighted(module)
        ]

    def close(self) -> None:
        """Listen no more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def failed(self, problem: Exception) -> None:
        """What the first layer is given stays unknown."""
        self.close()

    @harmless
    def _hear(self, name: str, _module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if (
            not self._hooks
            or is_probing()
            or torch.compiler.is_compiling()
            or not torch.is_grad_enabled()
            or is_mapped()
        ):
            return
        self.close()
        tensor = first_tensor([inputs, keywords])
        found: dict[str, Any] = {"layer": name}
        if tensor is not None and tensor.numel() > 1:
            deviation, mean = torch.std_mean(tensor.detach().float())
            found |= {"mean": float(mean), "std": float(deviation)}
        self._told(found)


def is_weighted(module: nn.Module) -> bool:
    """Whether a module is a leaf that weighs what it is given: more than the shift and scale of a norm."""
    own = [each for each in module.parameters(recurse=False) if not isinstance(each, UninitializedParameter)]
    return next(module.children(), None) is None and any(each.dim() > 1 for each in own)
