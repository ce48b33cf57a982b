"""Looks at the part of the graph between the model's output and the loss, which cannot be run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from convdebug.instruments import losses

from .backward import kept_tensors, nodes_behind, operator_of
from .held import Call
from .replay import Found
from .statistics import bad_rows, described, finite

MOST_NODES = 64
MOST_KEPT = 4
MOST_NODES_BEHIND = 5000
LOOK_AGAIN_EVERY = 256
LINEAR = {"add", "sub", "rsub", "neg", "sum", "mean", "view", "unsafe_view", "reshape_alias", "expand", "squeeze"}
LINEAR |= {"unsqueeze", "select", "slice", "index", "gather", "t", "transpose", "permute", "cat", "stack", "clone"}
"""Operators that make no NaN of numbers."""

AGAIN: dict[str, Callable[..., Tensor]] = {
    "log": lambda self: self.log(),
    "log2": lambda self: self.log2(),
    "log10": lambda self: self.log10(),
    "log1p": lambda self: self.log1p(),
    "acos": lambda self: self.acos(),
    "asin": lambda self: self.asin(),
    "div": lambda other, self=None: 1 / other if self is None else self / other,
    "lgamma": lambda self: self.lgamma(),
}
"""Operators that keep what they were given rather than what they gave: done again to see what that was."""

STEEP: dict[str, Callable[..., Tensor]] = {
    "sqrt": lambda result: result == 0,
    "rsqrt": lambda result: ~torch.isfinite(result),
    "div": lambda other, self=None: other == 0,
    "log": lambda self: self == 0,
    "log2": lambda self: self == 0,
    "log10": lambda self: self == 0,
    "log1p": lambda self: self == -1,
    "acos": lambda self: self.abs() == 1,
    "asin": lambda self: self.abs() == 1,
    "atan2": lambda self, other: (self == 0) & (other == 0),
    "reciprocal": lambda result: ~torch.isfinite(result),
    "pow": lambda self: self == 0,
    "norm": lambda result, self=None: result == 0,
    "linalg_vector_norm": lambda result, self=None: result == 0,
    "exp": lambda result: ~torch.isfinite(result),
}
"""Where the derivative of an operator is infinite or undefined."""


class LossPart:
    """What is held of the loss until the step is judged: the last call of a loss of torch, and steep operators."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._args: tuple[Any, ...] = ()
        self._keywords: dict[str, Any] = {}
        self._value: Tensor | None = None
        self.scores: Tensor | None = None
        self._steep: list[tuple[str, dict[str, Tensor]]] = []
        self._paths: list[tuple[int, ...]] | None = None
        self._looked = 0

    def clear(self) -> None:
        self._args, self._keywords, self._value, self.scores = (), {}, None, None
        self._steep.clear()

    def heard(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any], value: Tensor) -> None:
        self.name, self._args, self._keywords, self._value = name, args, keywords, value
        given = args[0] if args else keywords.get("input")
        self.scores = given if isinstance(given, Tensor) else None

    @property
    def is_finite(self) -> bool:
        """Whether the loss function gave a number, whatever a scaler made of it."""
        return self._value is not None and finite(self._value.detach())

    @property
    def labels(self) -> Tensor | None:
        given = self._args[1] if len(self._args) > 1 else self._keywords.get("target")
        return given if isinstance(given, Tensor) else None

    def is_direct(self, root: Tensor, calls: Sequence[Call]) -> bool:
        """Whether the loss is one of torch on the model's own output, scaled at most: it can be done again."""
        value, scores = self._value, self.scores
        if value is None or len(calls) != 1:
            return False
        outputs = calls[0].outputs
        if not (outputs and scores is outputs[0]) and not any(scores is output for output in outputs):
            return False
        if root is value:
            return True
        before = root.grad_fn.next_functions if root.grad_fn is not None else ()
        return len(before) <= 2 and before[0][0] is value.grad_fn and not any(node for node, _ in before[1:])

    def again(self, call: Call, outputs: Sequence[Tensor]) -> Tensor | None:
        """The loss of the same call on outputs made anew; None where it was not called on one of the outputs."""
        scores = self.scores
        place = next((place for place, output in enumerate(call.outputs) if output is scores), None)
        if self.name is None or place is None or place >= len(outputs):
            return None
        return losses.original(self.name)(outputs[place], *self._args[1:], **self._keywords)

    def look(self, root: Tensor, calls: Sequence[Call]) -> None:
        """The loss is finite and its graph still there: keep what steep operators keep, to explain a bad gradient.

        Where the loss of torch was called on the model's own output there is nothing between to look at; elsewhere
        the way to steep operators is looked for once in a while and followed at each step.
        """
        if self._steep:
            self._steep.clear()
        if self.is_direct(root, calls):
            return
        for call in calls:
            call.keep_gradients()
        if self._paths is None or self._looked % LOOK_AGAIN_EVERY == 0:
            self._paths = _paths_to_steep(root, nodes_of(calls))
        self._looked += 1
        for path in self._paths:
            node = _follow(root.grad_fn, path)
            if node is not None and operator_of(node) in STEEP:
                self._steep.append((operator_of(node), kept_tensors(node)))

    def explain(self, found: Found) -> None:
        """Say which operator outside the model has an infinite or undefined derivative where it was used."""
        for name, kept in self._steep:
            where = _applied(STEEP[name], kept)
            if where is not None and bool(where.any()):
                found.operator = name
                found.inputs = [described(tensor, place) for place, tensor in kept.items()]
                found.note = f"the derivative of {name} has no value at {int(where.sum())} of {where.numel()} places"
                return
        if found.operator is None and found.part == "loss":
            found.operator = self.name if self._value is not None else None


def found_in_graph(root: Tensor, loss: LossPart, calls: Sequence[Call], outputs_finite: bool) -> Found:
    """Why the loss is no number where no replay showed it; its graph has not been freed yet.

    Where the model's outputs were finite it is the loss; else the model, whose forward pass did not do the same twice,
    or whose parts were called one by one.
    """
    found = _found_in_call(loss)
    if found is not None:
        return found
    part = "loss" if calls and outputs_finite else "model"
    nodes = nodes_behind([root.grad_fn], nodes_of(calls) if part == "loss" else frozenset(), MOST_NODES_BEHIND)
    linear = True
    for node in sorted(nodes, key=lambda each: each._sequence_nr()):
        found = _found_in_node(node, part, linear)
        if found is not None:
            found.note = found.note or (NOT_THE_SAME if part == "model" and calls else "")
            return found
        linear = linear and operator_of(node) in LINEAR
    return Found("forward" if calls else "unknown", part=part, note=_unseen(calls, outputs_finite))


NOT_THE_SAME = "run again, the model's output was finite, so that the module is unknown"


def _unseen(calls: Sequence[Call], outputs_finite: bool) -> str:
    if not calls:
        return "the model's own forward was not called; neither module nor operator was seen"
    return "the model's output was finite; the operator was not seen" if outputs_finite else NOT_THE_SAME


def nodes_of(calls: Sequence[Call]) -> set[Any]:
    """Where the model's parts of the graph begin."""
    return set().union(*(call.nodes for call in calls))


def _found_in_call(loss: LossPart) -> Found | None:
    """A loss function of torch, of which arguments and value are held."""
    scores, labels, value = loss.scores, loss.labels, loss._value
    if value is None or scores is None or labels is None or finite(value.detach()):
        return None
    batch = int(labels.shape[0]) if labels.dim() else None
    if labels.is_floating_point() and not finite(labels.detach()):
        return Found("labels", part="loss", inputs=[described(labels, "labels")], rows=bad_rows(labels, batch))
    if not finite(scores.detach()):
        return None
    note = ""
    ignored = loss._keywords.get("ignore_index", -100)
    if not labels.is_floating_point() and labels.numel() and bool((labels == ignored).all()):
        note = f"every label is {ignored}, which is ignored: the mean of nothing is NaN"
    facts = [described(scores, "scores"), described(labels, "labels")]
    return Found("forward", part="loss", operator=loss.name, inputs=facts, note=note)


def _found_in_node(node: Any, part: str, linear: bool) -> Found | None:
    name, kept = operator_of(node), kept_tensors(node)
    if not kept:
        return None
    result = kept.pop("result", None)
    facts = [described(each, place) for place, each in kept.items()]
    if any(not finite(each) for each in kept.values()):
        return Found(_given(kept, part, linear), part=part, operator=name, inputs=facts, note=GIVEN)
    if result is None and name in AGAIN:
        result = _applied(AGAIN[name], kept)
    if result is None or finite(result):
        return None
    return Found("forward", part=part, operator=name, inputs=facts, output=described(result, "result"))


GIVEN = "what it was given was non-finite already"


def _given(kept: dict[str, Tensor], part: str, linear: bool) -> str:
    """Sums and differences of numbers are no NaN: behind nothing but those, it came in from outside."""
    nan = any(bool(torch.isnan(each).any()) for each in kept.values())
    return "labels" if nan and linear and part == "loss" else "unknown"


def _applied(function: Callable[..., Tensor], kept: dict[str, Tensor]) -> Tensor | None:
    try:
        return function(**kept)
    except (TypeError, RuntimeError):  # the operator kept other things than this one asks for
        return None


def _paths_to_steep(root: Tensor, until: set[Any]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    waiting: list[tuple[Any, tuple[int, ...]]] = [(root.grad_fn, ())]
    seen: set[Any] = set()
    while waiting and len(seen) < MOST_NODES and len(found) < MOST_KEPT:
        node, path = waiting.pop(0)
        if node is None or node in seen or node in until:
            continue
        seen.add(node)
        if operator_of(node) in STEEP:
            found.append(path)
        waiting += [(further, (*path, place)) for place, (further, _) in enumerate(node.next_functions)]
    return found


def _follow(node: Any, path: tuple[int, ...]) -> Any:
    for place in path:
        if node is None or place >= len(node.next_functions):
            return None
        node = node.next_functions[place][0]
    return node
