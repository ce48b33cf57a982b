"""Notices when an optimizer is about to step and when it has stepped, without touching the optimizer itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any

from torch import nn
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from .home import heard_in
from .scaler import listen_to_scaler, stop_listening_to_scaler


class Stepping:
    """Tells `before` and `after` of the steps of the optimizers that hold any of the model's parameters.

    `optimizers` are those to listen to; an empty list, or any with `search`, is filled with those that are found.
    `attempted` is told when a GradScaler is asked to step, whether or not it then skips the optimizer; `tried` when it
    has done either. `other` is told, once, of an optimizer that holds some of the parameters and is not listened to.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        before: Callable[[Optimizer], None],
        after: Callable[[Optimizer], None],
        attempted: Callable[[Optimizer], None],
        tried: Callable[[Optimizer], None] = lambda optimizer: None,
        other: Callable[[Optimizer], None] = lambda optimizer: None,
        search: bool = False,
    ) -> None:
        self.optimizers = optimizers
        self._search = search or not optimizers
        self._model = model
        self._before, self._after, self._attempted, self._tried = before, after, attempted, tried
        self._other = other
        self._known = weakref.WeakKeyDictionary(dict.fromkeys(optimizers, True))
        self._last: weakref.ref[Optimizer] | None = None
        """The one of ours that stepped last."""
        self._hooks: list[RemovableHandle] = []

    def start(self) -> None:
        self._hooks = [
            register_optimizer_step_pre_hook(self._begins),
            register_optimizer_step_post_hook(self._ended),
        ]
        listen_to_scaler(self._scaler_steps, self._scaler_tried)

    def stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        stop_listening_to_scaler(self._scaler_steps, self._scaler_tried)

    def _begins(self, optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
        if self._is_ours(optimizer):
            self._before(optimizer)

    def _ended(self, optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
        if self._is_ours(optimizer):
            self._after(optimizer)

    def _scaler_steps(self, optimizer: Any) -> None:
        if self._is_ours(optimizer):
            self._attempted(optimizer)

    def _scaler_tried(self, optimizer: Any) -> None:
        if self._is_ours(optimizer):
            self._tried(optimizer)

    def _is_ours(self, optimizer: Any) -> bool:
        if heard_in and heard_in[0] != get_ident():
            return False
        if self._last is not None and self._last() is optimizer:
            return True
        if not isinstance(optimizer, Optimizer):
            return False
        known = self._known.get(optimizer)
        if known is None:
            holds = self._holds_ours(optimizer)
            known = self._known[optimizer] = self._search and holds
            if known:
                self.optimizers.append(optimizer)
            elif holds:
                self._other(optimizer)
        if known:
            self._last = weakref.ref(optimizer)
        return known

    def _holds_ours(self, optimizer: Optimizer) -> bool:
        ours = {id(parameter) for parameter in self._model.parameters()}
        return any(id(parameter) in ours for group in optimizer.param_groups for parameter in group["params"])


def held_parameters(optimizers: Sequence[Optimizer]) -> set[int]:
    """The identities of all parameters that the optimizers hold."""
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
