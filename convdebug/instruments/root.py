"""Listens at the door of the model: what goes in and comes out of the first forward pass of a step, and evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .instrument import Moment


class Root:
    """Hooks on the outermost module, for as long as it is watched.

    `training_begins` is told of every forward pass in training mode with recorded gradients, `evaluated` of what the
    model answered without. While `deaf`, our own passes through the model go unheard. `moment` is filled on the steps
    on which an instrument wants the inputs and outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        clock: Callable[[], float],
        training_begins: Callable[[], None],
        evaluated: Callable[[Any], None],
    ) -> None:
        self.model = model
        self.clock = clock
        self.hearable = getattr(model, "_compiled_call_impl", None) is None or type(model).__name__ == "OptimizedModule"
        self.moment: Moment | None = None
        self.deaf = False
        self._training_begins, self._evaluated = training_begins, evaluated
        self._hooks: list[RemovableHandle] = []

    def attach(self) -> None:
        if not self._hooks and self.hearable:
            self._hooks.append(self.model.register_forward_pre_hook(self._enter, with_kwargs=True))
            self._hooks.append(self.model.register_forward_hook(self._leave))

    def detach(self) -> None:
        self.moment = None
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _enter(self, model: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if torch.compiler.is_compiling() or self.deaf or not torch.is_grad_enabled():
            return
        if model.training:
            self._training_begins()
        moment = self.moment
        if moment is None:
            return
        if moment.inputs is None:
            moment.inputs, moment.keywords = inputs, keywords
            moment.forward_at = self.clock()
        if moment.timeline is not None:
            moment.timeline.start("forward")

    def _leave(self, _model: nn.Module, _inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or self.deaf:
            return
        if not torch.is_grad_enabled():
            self._evaluated(output)
            return
        moment = self.moment
        if moment is None:
            return
        if moment.timeline is not None:
            moment.timeline.end("forward")
        if moment.output is None:
            moment.output = output
