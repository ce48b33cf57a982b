"""Looks now and then whether the examples of a batch leak into each other, on a batch that the training has seen."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from .anatomy import first_tensor
from .fetching import tensors_in
from .instrument import Instrument, Moment, Scene
from .neighbours import FACTORS, MIXED, LeavesOf, change_between, exchanged, first_difference, is_per_example
from .nests import mapped
from .probe import unnoticed

MOST_EXAMPLES = 16
LOOKS = 3
"""So many batches are looked at, unless the examples of one are mixed."""


class Mixing(Instrument):
    """The event `batch-mixing` {change, module}: how far one output moves when the other examples are exchanged.

    In evaluation mode and without a trace. Only where the first axis of inputs, outputs and labels is that of the
    examples, with one label for each: the axis of the words of a sentence or of the nodes of a graph may be the first
    one too, and there they belong together. A batch that comes again and again may be such a graph: it is left alone,
    as is a model whose batch norm has no running statistics, which mixes as everybody knows.
    """

    name: ClassVar[str] = "mixing"
    weight: ClassVar[float] = 0.1
    rarity: ClassVar[int] = 16

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._looks = 0
        self._first: Tensor | None = None
        self._stop(scene.compiled or any(_uses_batch(module) for module in scene.inner.modules()))

    def _stop(self, over: bool) -> None:
        self._over, self.needs_root = over, not over

    def record(self, moment: Moment) -> None:
        if self._over or moment.inputs is None or not _is_by_example(moment):
            return
        given = tensors_in((moment.inputs, moment.keywords))
        if self._first is None:
            self._first = given[0][:2].detach().clone()
        elif not torch.equal(self._first, given[0][:2]):
            self._looks += 1
            self._look(moment)

    def _look(self, moment: Moment) -> None:
        try:
            change, module = self._mixed(moment)
        except Exception:  # the model cannot take fewer examples, or none that were changed: nothing can be said
            self._stop(True)
            return
        self._stop(self._looks >= LOOKS or change > MIXED)
        if change > MIXED:
            self.scene.run.event("batch-mixing", moment.step, gradient=None, change=change, module=module)

    def _mixed(self, moment: Moment) -> tuple[float, str]:
        whole = len(tensors_in((moment.inputs, moment.keywords))[0])
        count = min(whole - 1, MOST_EXAMPLES)  # fewer than there are: what answers for each example answers fewer

        def few(value: Tensor) -> Tensor:
            return value[:count].detach() if is_per_example(value, whole) else value.detach()

        given = mapped((moment.inputs, moment.keywords), few)
        found = []
        for kept in (0, count - 1):
            before, leaves = self._answer(given, count, kept)
            for factor in FACTORS:
                others = mapped(given, partial(exchanged, count=count, kept=kept, factor=factor))
                after, leaves_after = self._answer(others, count, kept)
                if bool(after.isfinite().all()):
                    break
            if not bool(before.isfinite().all() and after.isfinite().all()):
                raise ValueError("no number to compare")
            found.append((change_between(before, after), first_difference(leaves, leaves_after)))
        return max(found)

    def _answer(self, given: Any, count: int, kept: int) -> tuple[Tensor, list[tuple[str, Tensor]]]:
        """What the model says of one example, and what each of its leaves does."""
        inputs, keywords = mapped(given, Tensor.clone)
        with unnoticed(self.scene.inner, evaluation=True), LeavesOf(self.scene.inner, count, kept) as leaves:
            scores = first_tensor(self.scene.inner(*inputs, **keywords))
        if scores is None or not is_per_example(scores, count) or scores.shape[1:] == (count,):
            raise ValueError("no numbers of single examples")
        return scores[kept].detach().double().cpu(), leaves.kept


def _uses_batch(module: torch.nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is None


def _is_by_example(moment: Moment) -> bool:
    """Whether inputs, output, scores and labels have one row for each example, and labels one number."""
    given, answer = tensors_in((moment.inputs, moment.keywords)), first_tensor(moment.output)
    labels, scores = moment.labels, moment.scores
    if not given or given[0].dim() < 2 or answer is None or labels is None or scores is None:
        return False
    count = len(given[0])
    rows = all(is_per_example(each, count) for each in (answer, scores, labels))
    return rows and count > 3 and labels.numel() == count and scores.shape[1:] != (count,)
