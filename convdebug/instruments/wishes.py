"""Obeys what the window wishes of a running training: pause, continue, one step, stop, a hyper-parameter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from convdebug_sessions import RunRecorder, Wish

POLL_SECONDS = 0.02


class TrainingStopped(Exception):
    """Raised by `Watch.step` when the user wished the training to stop; `Watch.__exit__` swallows it."""


class Wishes:
    """Looks at the pending wishes after a step; while paused, waits for the next one.

    `taker` is offered every wish that is not about pausing, stopping or an optimizer's setting, and says whether it
    took it.
    """

    def __init__(
        self,
        run: RunRecorder,
        optimizers: Sequence[torch.optim.Optimizer],
        taker: Callable[[Wish], bool],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.run = run
        self.optimizers = optimizers
        self.taker = taker
        self.sleep = sleep
        self.paused = False
        self._done: set[int] = set()

    def obey(self, step: int, flush: Callable[[], None]) -> None:
        """Carry out what is wished after `step`; blocks while paused, raises TrainingStopped on a wish to stop."""
        released = self._obey_all(step)
        if not self.paused or released:
            return
        flush()
        self.run.event("paused", step)
        while self.paused and not released:
            self.sleep(POLL_SECONDS)
            released = self._obey_all(step)
        if not self.paused:
            self.run.event("continued", step)

    def _obey_all(self, step: int) -> bool:
        released = False
        for wish in self.run.pending_wishes:
            if wish.id not in self._done:
                self._done.add(wish.id)
                self.run.applied(wish, step)
                released = self._obey_one(wish, step) or released
        return released

    def _obey_one(self, wish: Wish, step: int) -> bool:
        """Returns whether a paused training may go on for one step."""
        if wish.what == "pause":
            self.paused = True
        elif wish.what == "continue":
            self.paused = False
        elif wish.what == "step":
            self.paused = True
            return True
        elif wish.what == "stop":
            raise TrainingStopped(f"stopped by a wish after step {step}")
        elif not self._change(wish, step) and not self.taker(wish):
            self.run.event("note", step, text=f"the wish {wish.what} {wish.value!r} cannot be granted here")
        return False

    def _change(self, wish: Wish, step: int) -> bool:
        if wish.what != "set" or not isinstance(wish.value, dict) or not all(map(_is_amount, wish.value.values())):
            return False
        keys = [key for key in wish.value if key in SETTINGS]
        for key in keys:
            old = SETTINGS[key](self.optimizers, float(wish.value[key]))
            if old is None:
                self.run.event("note", step, text=f"{key} cannot be set: no optimizer here has it")
            else:
                self.run.event("change", step, key=key, old=old, new=float(wish.value[key]), by="wish")
        others = [key for key in wish.value if key not in SETTINGS]
        return not others or bool(keys and self.taker(wish))


def _set_in_groups(name: str) -> Callable[[Sequence[torch.optim.Optimizer], float], float | None]:
    def change(optimizers: Sequence[torch.optim.Optimizer], value: float) -> float | None:
        old: float | None = None
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            if name in group:
                old = float(group[name]) if old is None else old
                group[name] = _like(group[name], value)
        return old

    return change


def _set_momentum(optimizers: Sequence[torch.optim.Optimizer], value: float) -> float | None:
    """`momentum` where there is one, the first of `betas` in the Adam family."""
    old = _set_in_groups("momentum")(optimizers, value)
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if "betas" in group:
            old = float(group["betas"][0]) if old is None else old
            group["betas"] = (value, *group["betas"][1:])
    return old


def _is_amount(value: Any) -> bool:
    """A finite number that is not negative; the wishes of a window are checked there, but anybody may write one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _like(old: Any, value: float) -> Any:
    return torch.full_like(old, value) if isinstance(old, torch.Tensor) else value


SETTINGS: dict[str, Callable[[Sequence[torch.optim.Optimizer], float], float | None]] = {
    "optimizer.lr": _set_in_groups("lr"),
    "optimizer.momentum": _set_momentum,
    "optimizer.weight_decay": _set_in_groups("weight_decay"),
}
"""What may be changed live on an optimizer; each returns the old value, or None if no optimizer has it."""
