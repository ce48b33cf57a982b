"""Looks now and then whether the examples of a batch leak into each other, on a batch that the training has seen."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .anatomy import first_tensor, size_of
from .fetching import tensors_in
from .hook import Hook
from .instrument import Instrument, Moment, Scene
from .kept import Unrepeatable
from .neighbours import FACTORS, MIXED, ModulesOf, change_between, exchanged, first_difference, is_per_example
from .origin.isolation import isolated

MOST_EXAMPLES = 16
LOOKS = 3
"""So many batches are looked at, unless the examples of one are mixed."""
SAME_AGAIN = 3
"""So many times the same batch: the training has no other."""
MOST_PARAMETERS = 2**26
"""A larger model is not copied in the midst of its training."""
ON_PURPOSE = ("moe", "expert", "router", "observer", "fakequant")
"""In the names of modules that look at a batch as a whole, in evaluation too."""


class Mixing(Instrument):
    """The event `batch-mixing` {change, module}: how far one output moves when the other examples are exchanged.

    On copies of the weights, in evaluation mode. Only where a model is given one tensor alone, its output and labels
    have a row for each example, and its batches are of one size: the axis of the words of a sentence or of the nodes of
    a graph may be the first one too, and there they belong together. Left alone are a batch that comes again and again,
    which may be such a graph, batch norm without running statistics, what looks at whole batches on purpose, modules on
    which the user has hooks, several processes, and what does not answer the same twice.
    """

    name: ClassVar[str] = "mixing"
    weight: ClassVar[float] = 0.1
    rarity: ClassVar[int] = 16

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._looks = self._again = 0
        self._first: Tensor | None = None
        self._count = 0
        large = sum(size_of(parameter) for _, parameter in scene.parameters) > MOST_PARAMETERS
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._stop(scene.compiled or large or several or any(map(_is_meant, scene.inner.modules())))

    def _stop(self, over: bool) -> None:
        self._over, self.needs_root = over, not over

    def record(self, moment: Moment) -> None:
        given = None if self._over or moment.inputs is None else _only_tensor(moment)
        if given is None:
            return
        if self._first is None:
            self._first, self._count = given[:2].detach().clone(), len(given)
        elif len(given) > self._count or self._again >= SAME_AGAIN:
            self._stop(True)
        elif torch.equal(self._first, given[:2]):
            self._again += 1
        elif len(given) == self._count:  # the last batch of an epoch may be smaller
            self._looks += 1
            self._look(moment, given)

    def _look(self, moment: Moment, given: Tensor) -> None:
        try:
            change, module = self._mixed(given)
        except Unrepeatable:
            raise
        except Exception:  # the model cannot take fewer examples, or none that were changed: nothing can be said
            self._stop(True)
            return
        self._stop(self._looks >= LOOKS or change > MIXED)
        if change > MIXED:
            self.scene.run.event("batch-mixing", moment.step, gradient=None, change=change, module=module)

    def _mixed(self, given: Tensor) -> tuple[float, str]:
        count = min(len(given) - 1, MOST_EXAMPLES)  # fewer than there are: what answers for each example answers fewer
        few = given[:count].detach()
        found = []
        for kept in (0, count - 1):
            before, leaves = self._answer(few, kept)
            again, _ = self._answer(few, kept)
            if not torch.equal(before, again):
                raise ValueError("not the same twice")
            for factor in FACTORS:
                after, leaves_after = self._answer(exchanged(few, count, kept, factor), kept)
                if bool(after.isfinite().all()):
                    break
            if not bool(before.isfinite().all() and after.isfinite().all()):
                raise ValueError("no number to compare")
            found.append((change_between(before, after), first_difference(leaves, leaves_after)))
        return max(found)

    def _answer(self, given: Tensor, kept: int) -> tuple[Tensor, list[tuple[str, Tensor]]]:
        """What the model says of one example, and what each of its modules does."""
        model, count = self.scene.inner, len(given)
        with torch.no_grad(), isolated(model), ModulesOf(model, count, kept) as leaves:
            scores = first_tensor(model.eval()(given.clone()))
        if scores is None or not is_per_example(scores, count) or scores.shape[1:] == (count,):
            raise ValueError("no numbers of single examples")
        return scores[kept].detach().double().cpu(), leaves.kept


def _is_meant(module: nn.Module) -> bool:
    """Whether a module looks at a batch as a whole on purpose, or is looked at by the user's own code."""
    named = any(word in type(module).__name__.lower() for word in ON_PURPOSE)
    hooks: list[Any] = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    watched = any(not isinstance(hook, Hook) for hook in hooks)
    return named or watched or (isinstance(module, _BatchNorm) and module.running_mean is None)


def _only_tensor(moment: Moment) -> Tensor | None:
    """The one tensor that the model was given, if output, scores and labels have a row for each of its examples.

    Rows of single numbers are left out: those of a table and the words of one text look alike.
    """
    given, answer = tensors_in((moment.inputs, moment.keywords)), first_tensor(moment.output)
    labels, scores = moment.labels, moment.scores
    if len(given) != 1 or moment.keywords or answer is None or labels is None or scores is None:
        return None
    least = 3 if given[0].is_floating_point() else 2
    alone = moment.inputs is not None and len(moment.inputs) == 1 and moment.inputs[0] is given[0]
    if not alone or given[0].dim() < least:
        return None
    count = len(given[0])
    rows = all(is_per_example(each, count) for each in (answer, scores, labels))
    return given[0] if rows and count > 3 and labels.numel() == count and scores.shape[1:] != (count,) else None
