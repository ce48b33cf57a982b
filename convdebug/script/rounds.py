"""When a step is over, for one model: its optimizers that step together, without a second turn, make one step."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Round:
    """Which optimizers of one model have stepped since the last step was counted."""

    done: set[int] = field(default_factory=set)
    active: set[int] | None = None
    """Those that stepped in the round before: the next one is over when all of them have."""
    by_backward: bool = False
    """No optimizer steps: every backward pass is a step."""
    waiting_backwards: int = 0

    def close(self) -> None:
        self.active, self.done = self.done, set()
        self.waiting_backwards = 0
