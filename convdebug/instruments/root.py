"""Listens at the door of the model: what goes in and comes out of the first forward pass of a step, and evaluations."""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .anatomy import first_tensor
from .fetching import base_of, tensors_in
from .hook import Hook
from .instrument import Moment
from .mapped import is_mapped, transform
from .probe import depth

MOST_OPERATORS = 8
DIVIDING = ("Div", "Mul", "Mean", "Sum", "View", "Squeeze", "Reshape")
ANSWERS = 4
"""So many of the last answers are known again."""
_calls = itertools.count(1)


class Passes(Protocol):
    """Who wants to know each pass with recorded gradients."""

    def pass_begins(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None: ...

    def pass_ends(self, output: Any) -> None: ...


class Root:
    """Hooks on the outermost module, for as long as it is watched.

    `training_begins` is told of every forward pass with recorded gradients, `evaluation_begins` of every one without,
    `trained` and `evaluated` of what the model answered there. Our own passes through the model go unheard. `moment`
    is filled on the steps on which an instrument wants the inputs and outputs. `failed` is told what went wrong, after
    which nothing is heard.
    """

    def __init__(
        self,
        model: nn.Module,
        clock: Callable[[], float],
        training_begins: Callable[[Any], None],
        evaluation_begins: Callable[[Any], None],
        evaluated: Callable[[Any], None],
        trained: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.model = model
        self.clock = clock
        self.hearable = getattr(model, "_compiled_call_impl", None) is None or type(model).__name__ == "OptimizedModule"
        self.moment: Moment | None = None
        self.broken, self.failed = False, failed
        self._training_begins, self._trained = training_begins, trained
        self._evaluation_begins, self._evaluated = evaluation_begins, evaluated
        self.passes: Passes | None = None
        """Told of each pass with recorded gradients."""
        self._hooks: list[RemovableHandle] = []
        self.called = 0
        """When it was called last, counted over the calls of all models that are watched."""
        self._answers: deque[tuple[int, weakref.ref[Tensor]]] = deque(maxlen=ANSWERS)
        self.keeps_parts = True
        self._parts: list[weakref.ref[Tensor]] = []
        self.answered: tuple[int, ...] = ()
        """The shape of the last answer with a graph, while parts are kept."""

    def gave(self, scores: Any) -> bool:
        """Whether scores are this model's last answer, a view of it, or were computed from it by a few operators."""
        if not isinstance(scores, Tensor):
            return False
        if self.pass_that_gave(scores) is not None:
            return True
        answer = self._answers[-1][1]() if self._answers else None
        if answer is None:
            return False
        node, origin = scores.grad_fn, answer.grad_fn
        for _ in range(MOST_OPERATORS if origin is not None else 0):
            if node is None or node is origin:
                return node is not None
            node = node.next_functions[0][0] if node.next_functions else None
        return False

    def pass_that_gave(self, scores: Any) -> tuple[int, int] | None:
        """Which forward pass answered with these scores or with what they are a view of, and which of its examples.

        None where none of the last few did. The second number tells parts of one batch apart.
        """
        if not isinstance(scores, Tensor):
            return None
        if self._answers and self._answers[-1][1]() is scores:
            return self._answers[-1][0], 0
        base = base_of(scores)
        for call, reference in reversed(self._answers):
            answer = reference()
            if answer is not None and (scores is answer or base is base_of(answer)):
                part = scores.dim() and answer.dim() and scores.shape[0] < answer.shape[0]
                return call, int(scores.storage_offset()) if part else 0
        return None

    def place_of(self, loss: Tensor) -> tuple[int, int] | None:
        """Which of the tensors of the last answer a loss is, perhaps divided, and of how many."""
        for place, reference in enumerate(self._parts):
            part = reference()
            if part is not None and part.numel() == 1 and part.grad_fn is not None and is_share_of(loss, part):
                return place, len(self._parts)
        return None

    def __deepcopy__(self, _memo: Any) -> Root:
        return self  # a copy of the model (an average of its weights) brings its hooks along

    def attach(self) -> None:
        if not self._hooks and self.hearable:
            self._hooks.append(self.model.register_forward_pre_hook(Hook(self._enter, self), with_kwargs=True))
            self._hooks.append(self.model.register_forward_hook(Hook(self._leave, self)))

    def detach(self) -> None:
        self.moment = None
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _enter(self, _model: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if torch.compiler.is_compiling() or depth[0] or (transform() is not None and is_mapped()):
            return
        self.called = next(_calls)
        if not torch.is_grad_enabled():
            self._evaluation_begins((inputs, keywords))
            return
        self._training_begins((inputs, keywords))
        if self.passes is not None:
            self.passes.pass_begins(inputs, keywords)
        moment = self.moment
        if moment is None:
            return
        if moment.inputs is None:
            moment.inputs, moment.keywords = inputs, keywords
            moment.forward_at = self.clock()
        moment.given_last = inputs, keywords
        if moment.timeline is not None:
            moment.timeline.start("forward")

    def _leave(self, _model: nn.Module, _inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or depth[0] or (transform() is not None and is_mapped()):
            return
        self.called = next(_calls)
        recorded = torch.is_grad_enabled()
        if recorded and self.passes is not None:
            self.passes.pass_ends(output)
        tensor = first_tensor(output)
        if tensor is not None:
            self._answers.append((self.called, weakref.ref(tensor)))
        if not recorded:
            self._evaluated(output)
            return
        self._trained(output)
        if self.keeps_parts:
            self._parts = [weakref.ref(each) for each in tensors_in(output)]
            self.answered = () if tensor is None else tuple(tensor.shape)
        moment = self.moment
        if moment is None:
            return
        if moment.timeline is not None:
            moment.timeline.end("forward")
        if moment.output is None:
            moment.output = output


def is_share_of(loss: Tensor, whole: Tensor) -> bool:
    """Whether a loss is another number, or that number divided (for accumulation) or taken as its own mean."""
    node, origin = loss.grad_fn, whole.grad_fn
    for _ in range(MOST_OPERATORS):
        if node is None or node is origin:
            return node is not None
        parents = [each for each, _ in node.next_functions if each is not None]
        if len(parents) != 1 or not node.name().startswith(DIVIDING):
            return False
        node = parents[0]
    return False
