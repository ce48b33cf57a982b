"""The numbers that a watch writes itself at every step: loss, rate and time as one row, other scalars one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .readback import Readback

if TYPE_CHECKING:
    from convdebug_sessions import Group, RunRecorder

STEP_SERIES = ("train/loss", "train/lr", "time/wall")


class Rows:
    """Writes scalars of any device without making the training wait for them."""

    def __init__(self, run: RunRecorder, readback: Readback) -> None:
        self._run, self._readback = run, readback
        self._step_group: Group = run.group(STEP_SERIES)
        self._groups: dict[str, Group] = {}
        self._last_steps: dict[str, int] = {}
        self._loss_seen = True

    def step(self, step: int, loss: Any, rate: float, wall: float) -> None:
        """`train/loss`, `train/lr` and `time/wall` of one step; NaN where no loss was seen, between two events."""
        group = self._step_group
        seen = loss is not None
        if seen != self._loss_seen:
            self._loss_seen = seen
            self._run.event("loss-seen" if seen else "loss-unseen", step)
        if type(loss) is float:
            group.append(step, (loss, rate, wall))
        elif isinstance(loss, Tensor) and loss.device.type != "cpu":
            self._readback.put(loss.reshape(1), lambda row: group.append(step, (float(row[0]), rate, wall)))
        else:
            group.append(step, (math.nan if loss is None else float(loss), rate, wall))

    def scalar(self, name: str, step: int, value: Any) -> None:
        """One series of its own; a second value at the same step is left out, and said to be."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = self._run.group((name,))
        if self._last_steps.get(name, -1) >= step:
            self._run.event("note", step, text=f"{name} was given twice at step {step}; the first value is kept")
            return
        self._last_steps[name] = step
        if isinstance(value, Tensor) and value.device.type != "cpu":
            self._readback.put(value.reshape(1), lambda row: group.append(step, row))
        else:
            group.append(step, (float(value),))


def share(accuracy: Any) -> Any:
    """An accuracy as a number: a boolean tensor (N,) says which examples were right."""
    if isinstance(accuracy, Tensor) and accuracy.dtype == torch.bool:
        return accuracy.to(torch.float32).mean()
    return accuracy
