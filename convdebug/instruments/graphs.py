"""Whether the graphs of earlier steps are still alive: each measured step leaves a mark in its own graph."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("graph/marked", "graph/alive")
SERIES_ASIDE = ("graph/marked_aside", "graph/alive_aside")
MOST_ALIVE = 512


class Mark:
    """Lives exactly as long as the graph node that holds it."""

    __slots__ = ("__weakref__",)


class Marks:
    """Those that were left, and those whose graphs have not been freed."""

    def __init__(self) -> None:
        self.left = 0
        self.alive: weakref.WeakSet[Mark] = weakref.WeakSet()

    def leave(self, output: Any) -> None:
        """Mark the graph of an answer; nothing where it has none, or where too many are alive already."""
        tensor = first_tensor(output)
        node: Any = None if tensor is None else tensor.grad_fn
        if node is not None and len(self.alive) < MOST_ALIVE:
            node.metadata[Mark] = mark = Mark()
            self.alive.add(mark)
            self.left += 1

    def row(self) -> tuple[float, float]:
        """How many were left and how many are alive."""
        return float(self.left), float(len(self.alive))


class Graphs(Instrument):
    """`graph/marked` and `graph/alive`: marks left in the graphs of earlier measured steps, and those not freed yet.

    A loop that lets go of its loss and outputs has one or two alive; one that sums up loss tensors has all of them.
    `graph/marked_aside` and `graph/alive_aside` are the same for one pass of each step, measured or not, in evaluation
    mode or after the update: evaluations with recorded gradients.
    """

    name: ClassVar[str] = "graphs"
    weight: ClassVar[float] = 0.1
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._marks, self._aside = Marks(), Marks()
        self._step = -1
        scene.aside = self._mark_aside

    def _mark_aside(self, step: int, output: Any) -> None:
        if step > self._step:
            self._step = step
            self._aside.leave(output)

    def fall_silent(self) -> None:
        self.scene.aside = None

    def finish(self) -> None:
        self.fall_silent()

    def record(self, moment: Moment) -> None:
        if self._aside.left:
            self.table.append(moment.step, SERIES_ASIDE, self._aside.row())
        output = first_tensor(moment.output)
        if output is not None and output.grad_fn is not None:
            self.table.append(moment.step, SERIES, self._marks.row())
            self._marks.leave(output)
