"""Counts what the loop does: backward passes, used and unused, optimizer steps, those that a scaler skipped."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from .hearing import Hearer
from .instrument import Moment, Scene
from .stepping import held_parameters
from .table import Table
from .unused import Unused

SERIES = (
    "loop/backwards",
    "loop/steps",
    "loop/scaler_asked",
    "loop/scaler_skipped",
    "loop/unused",
    "loop/steps_after_unused",
)


class LoopCounts(Hearer):
    """`loop/{backwards,steps,scaler_asked,scaler_skipped,unused,steps_after_unused}`, each counted from the start.

    At the end the event `loop` with the same numbers and `optimizers`, each with its name, the steps it made, and
    the parameters that it alone holds: a loop that never steps may end before there is any row. The run's info names
    as `other_optimizer` the first one that steps the model's parameters without having been given to the watch.
    """

    name: ClassVar[str] = "loop-counts"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self.backwards = self.steps = self.asked = 0
        self.skipped = 0
        self._other: str | None = None
        self._steps_of: dict[int, int] = {}
        self._waiting: set[int] = set()
        self._unused = Unused(scene.gradient_marks)

    def backward_begins(self) -> None:
        self.backwards += 1
        self._unused.backward_begins()

    def backward_ended(self) -> None:
        self._unused.backward_ended()

    def scaler_asked(self, optimizer: Any) -> None:
        if self.holds(optimizer):
            self.asked += 1
            self.skipped += 1
            self._waiting.add(id(optimizer))
            self._unused.step_begins()
            self._unused.step_ended()

    def step_begins(self, optimizer: Optimizer) -> None:
        if not self.holds(optimizer):
            self._notice_other(optimizer)
            return
        self.steps += 1
        self._unused.step_begins()
        self._steps_of[id(optimizer)] = self._steps_of.get(id(optimizer), 0) + 1
        if id(optimizer) in self._waiting:
            self._waiting.discard(id(optimizer))
            self._judge_scaled(optimizer)

    def step_ended(self, optimizer: Optimizer) -> None:
        if self.holds(optimizer):
            self._unused.step_ended()

    def _notice_other(self, optimizer: Optimizer) -> None:
        if self._other is not None or held_parameters([optimizer]).isdisjoint(
            id(each) for _, each in self.scene.parameters
        ):
            return
        self._other = type(optimizer).__name__
        self.scene.tell(other_optimizer=self._other)

    def _judge_scaled(self, optimizer: Optimizer) -> None:
        self.skipped -= 1
        found = getattr(optimizer, "found_inf", None)
        if isinstance(found, Tensor):  # fused optimizers are called in any case and skip by themselves
            self.scene.readback.put(found.reshape(1), self._count_fused)

    def _count_fused(self, found: np.ndarray) -> None:
        if found[0] > 0:
            self.skipped += 1

    def record(self, moment: Moment) -> None:
        self.scene.tell(optimizers=[type(optimizer).__name__ for optimizer in self.scene.optimizers])
        counts = (self.backwards, self.steps, self.asked, self.skipped, self._unused.count, self._unused.steps)
        self.table.append(moment.step, SERIES, counts)

    def finish(self) -> None:
        if self._hears:
            self.scene.run.event(
                "loop",
                None,
                backwards=self.backwards,
                steps=self.steps,
                scaler_asked=self.asked,
                scaler_skipped=self.skipped,
                unused=self._unused.count,
                steps_after_unused=self._unused.steps,
                optimizers=[self._described(optimizer) for optimizer in self.scene.optimizers],
            )
        super().finish()

    def _described(self, optimizer: Optimizer) -> dict[str, Any]:
        """Name, steps, and the parameters that no other optimizer holds."""
        held = held_parameters([optimizer])
        held -= held_parameters([other for other in self.scene.optimizers if other is not optimizer])
        own = [name for name, parameter in self.scene.parameters if id(parameter) in held]
        return {"name": type(optimizer).__name__, "steps": self._steps_of.get(id(optimizer), 0), "own": own}
