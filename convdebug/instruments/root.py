"""Listens at the door of the model: what goes into its first forward pass of a step, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .instrument import Moment
from .probe import is_probing


class Root:
    """Hooks on the outermost module, there only on steps where an instrument needs them."""

    def __init__(self, model: nn.Module, clock: Callable[[], float]) -> None:
        self.model = model
        self.clock = clock
        self.hearable = getattr(model, "_compiled_call_impl", None) is None or type(model).__name__ == "OptimizedModule"
        self.moment: Moment | None = None
        self._hooks: list[RemovableHandle] = []

    def attach(self, moment: Moment) -> None:
        self.moment = moment
        if not self._hooks and self.hearable:
            self._hooks.append(self.model.register_forward_pre_hook(self._enter, with_kwargs=True))
            self._hooks.append(self.model.register_forward_hook(self._leave))

    def detach(self) -> None:
        self.moment = None
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _enter(self, _model: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        moment = self.moment
        if moment is None or not torch.is_grad_enabled() or is_probing():
            return
        if moment.inputs is None:
            moment.inputs, moment.keywords = inputs, keywords
            moment.forward_at = self.clock()
        if moment.timeline is not None:
            moment.timeline.start("forward")

    def _leave(self, _model: nn.Module, _inputs: Any, output: Any) -> None:
        moment = self.moment
        if moment is None or not torch.is_grad_enabled() or is_probing():
            return
        if moment.timeline is not None:
            moment.timeline.end("forward")
        if moment.output is None:
            moment.output = output
