"""Whether the graphs of earlier steps are still alive: each measured step leaves a mark in its own graph."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("graph/marked", "graph/alive")
SERIES_INSIDE = ("graph/marked_inside", "graph/alive_inside")
SERIES_ASIDE = ("graph/marked_aside", "graph/alive_aside")
MOST_ALIVE = 512
MOST_NODES = 1024
"""So many operators of a graph are walked past on the way to where it begins."""
INSIDE_EVERY = 3
"""That costs as much as all else here: done at one measured step in so many, so that the usual one stays cheap."""


class Mark:
    """Lives exactly as long as the graph node that holds it."""

    __slots__ = ("__weakref__",)


class Marks:
    """Those that were left, and those whose graphs have not been freed."""

    def __init__(self) -> None:
        self.left = 0
        self.alive: weakref.WeakSet[Mark] = weakref.WeakSet()

    def leave(self, node: Any) -> None:
        """Mark a node of a graph; nothing where there is none, or where too many are alive already."""
        if node is not None and len(self.alive) < MOST_ALIVE:
            node.metadata[self] = mark = Mark()
            self.alive.add(mark)
            self.left += 1

    def row(self) -> tuple[float, float]:
        """How many were left and how many are alive."""
        return float(self.left), float(len(self.alive))


def end_of(output: Any) -> Any:
    """The last node of the graph of an answer; None where it has none."""
    tensor = first_tensor(output)
    return None if tensor is None else tensor.grad_fn


def beginning(end: Any) -> Any:
    """The node of a graph that is come to by the first operand of each that was computed: near the input."""
    node, operands = end, end.next_functions
    for _ in range(MOST_NODES):
        for each, _ in operands:
            before = () if each is None else each.next_functions
            if before:
                node, operands = each, before
                break
        else:
            break
    return node


class Graphs(Instrument):
    """`graph/marked` and `graph/alive`: marks left in the graphs of earlier measured steps, and those not freed yet.

    A loop that lets go of its loss and outputs has one or two alive; one that sums up loss tensors has all of them.
    `graph/marked_inside` and `graph/alive_inside` are the same where some of these graphs begin: of one whose hidden
    values are kept the beginning stays, though its end goes.
    `graph/marked_aside` and `graph/alive_aside` are the same for one pass of each step, measured or not, in evaluation
    mode or after the update: evaluations with recorded gradients.
    """

    name: ClassVar[str] = "graphs"
    weight: ClassVar[float] = 0.1
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._marks, self._inside, self._aside = Marks(), Marks(), Marks()
        self._step = -1
        scene.aside = self._mark_aside

    def _mark_aside(self, step: int, output: Any) -> None:
        if step > self._step:
            self._step = step
            self._aside.leave(end_of(output))

    def fall_silent(self) -> None:
        self.scene.aside = None

    def finish(self) -> None:
        self.fall_silent()

    def record(self, moment: Moment) -> None:
        if self._aside.left:
            self.table.append(moment.step, SERIES_ASIDE, self._aside.row())
        end = end_of(moment.output)
        if end is not None:
            self.table.append(moment.step, SERIES + SERIES_INSIDE, self._marks.row() + self._inside.row())
            if self._marks.left % INSIDE_EVERY == 0:
                self._inside.leave(beginning(end))
            self._marks.leave(end)
