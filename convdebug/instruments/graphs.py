"""Whether the graphs of earlier steps are still alive: each measured step leaves a mark in its own graph."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("graph/marked", "graph/alive")
MOST_ALIVE = 512


class Mark:
    """Lives exactly as long as the graph node that holds it."""

    __slots__ = ("__weakref__",)


class Graphs(Instrument):
    """`graph/marked` and `graph/alive`: marks left in the graphs of earlier measured steps, and those not freed yet.

    A loop that lets go of its loss and outputs has one or two alive; one that sums up loss tensors has all of them.
    """

    name: ClassVar[str] = "graphs"
    weight: ClassVar[float] = 0.1
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._alive: weakref.WeakSet[Mark] = weakref.WeakSet()
        self._marked = 0

    def record(self, moment: Moment) -> None:
        output = first_tensor(moment.output)
        node: Any = None if output is None else output.grad_fn
        if node is None:
            return
        self.table.append(moment.step, SERIES, (float(self._marked), float(len(self._alive))))
        if len(self._alive) < MOST_ALIVE:
            node.metadata[Mark] = mark = Mark()
            self._alive.add(mark)
            self._marked += 1
