"""Counts what the loop does: backward passes, used and unused, optimizer steps, those that a scaler skipped."""

from __future__ import annotations

from typing import Any, ClassVar

from torch.optim import Optimizer

from .instrument import Instrument, Moment, Scene
from .stepping import held_parameters
from .table import Table

SERIES = (
    "loop/backwards",
    "loop/steps",
    "loop/scaler_asked",
    "loop/scaler_skipped",
    "loop/unused",
    "loop/steps_after_unused",
)


class LoopCounts(Instrument):
    """`loop/{backwards,steps,scaler_asked,scaler_skipped,unused,steps_after_unused}`, each counted from the start.

    At the end the event `loop` with the same numbers and `optimizers`, each with its name, the steps it made, and
    the parameters that it alone holds: a loop that never steps may end before there is any row.
    """

    name: ClassVar[str] = "loop-counts"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._counts = False

    def arm(self, moment: Moment) -> None:
        self._counts = True

    def fall_silent(self) -> None:
        self._counts = False

    def record(self, moment: Moment) -> None:
        self.scene.tell(optimizers=[type(optimizer).__name__ for optimizer in self.scene.optimizers])
        loop = self.scene.loop
        counts = (loop.backwards, loop.steps, loop.asked, loop.skipped, loop.unused.count, loop.unused.steps)
        self.table.append(moment.step, SERIES, counts)

    def finish(self) -> None:
        if self._counts:
            loop = self.scene.loop
            self.scene.run.event(
                "loop",
                None,
                backwards=loop.backwards,
                steps=loop.steps,
                scaler_asked=loop.asked,
                scaler_skipped=loop.skipped,
                unused=loop.unused.count,
                steps_after_unused=loop.unused.steps,
                optimizers=[self._described(optimizer) for optimizer in self.scene.optimizers],
            )

    def _described(self, optimizer: Optimizer) -> dict[str, Any]:
        """Name, steps, and the parameters that no other optimizer holds."""
        held = held_parameters([optimizer])
        held -= held_parameters([other for other in self.scene.optimizers if other is not optimizer])
        own = [name for name, parameter in self.scene.parameters if id(parameter) in held]
        return {"name": type(optimizer).__name__, "steps": self.scene.loop.steps_of.get(id(optimizer), 0), "own": own}
