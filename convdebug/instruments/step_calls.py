"""Tells the calls of `step` that make one optimizer step together (gradient accumulation) from steps."""

from __future__ import annotations

from typing import Any

from torch import Tensor

MOST_MICRO_BATCHES = 64
"""So many calls of `step` without an optimizer step are taken for gradient accumulation; beyond, each is a step."""


class StepCalls:
    """Keeps the losses of micro-batches until their step is over; without an optimizer each call is a step."""

    def __init__(self, by_optimizer: bool) -> None:
        self._by_optimizer, self._gave_up = by_optimizer, False
        self.waiting: list[Any] = []

    @property
    def too_many(self) -> bool:
        """So many that the optimizer will not step."""
        return self._by_optimizer and len(self.waiting) >= MOST_MICRO_BATCHES

    def is_part(self, stepped: bool) -> bool:
        """Whether a call is that of a micro-batch, where the optimizer has not stepped since the last one."""
        return self._by_optimizer and not stepped

    def keep(self, loss: Any) -> None:
        self.waiting.append(loss.detach() if isinstance(loss, Tensor) else loss)

    def with_kept(self, loss: Any) -> Any:
        """The loss of a step, with those of its micro-batches."""
        if not self.waiting:
            return loss.detach() if isinstance(loss, Tensor) else loss
        parts, self.waiting = [part for part in (*self.waiting, loss) if part is not None], []
        return sum(part.detach() if isinstance(part, Tensor) else part for part in parts) if parts else None

    def optimizer_steps(self) -> None:
        """An optimizer was seen to step."""
        if not self._gave_up:
            self._by_optimizer = True

    def none_steps(self) -> None:
        """No optimizer can be seen to step."""
        self._by_optimizer = False

    def give_up(self) -> list[Any]:
        """The optimizer does not step: what was kept were the losses of steps."""
        self._by_optimizer, self._gave_up = False, True
        calls, self.waiting = self.waiting, []
        return calls
