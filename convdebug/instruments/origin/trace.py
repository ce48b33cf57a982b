"""Follows one forward pass operator by operator: which of them made NaN or infinity out of numbers, and where."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from .statistics import FINE, State, bad_rows, described, state_of

TORCH = os.path.dirname(torch.__file__)
HERE = os.path.dirname(__file__)
FILLING = ("masked_fill", "where", "full", "fill", "index_put", "scalar_tensor", "triu", "tril", "constant_pad")
"""Operators with which people write infinities on purpose, mostly to mask."""
PASSING = ("clone", "view", "expand", "transpose", "permute", "slice", "select", "unsqueeze", "squeeze", "detach", "t")
SOFTMAX = ("softmax", "log_softmax", "logsumexp", "scaled_dot_product")
"""Minus infinity is a rightful argument of these, as long as a row has anything else."""
MOST_DESCRIBED = 48
Place = tuple[str, int] | None


@dataclass
class Operation:
    """One call of one operator: in which module, at which line, what it was given and what came out."""

    number: int
    name: str
    module: str
    kind: str
    line: Place
    sequence: int
    inputs: list[tuple[State, Source]] = field(default_factory=list)
    outputs: list[State] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    output_facts: dict[str, Any] = field(default_factory=dict)
    rows: list[int] | None = None

    @property
    def out(self) -> State:
        return next((state for state in self.outputs if state.bad), FINE)

    @property
    def fills(self) -> bool:
        """Whether an infinity that comes from here was most likely meant."""
        return not self.inputs or any(part in self.name for part in FILLING)


@dataclass(frozen=True)
class Source:
    """Where a tensor came from: an operation, or the model's arguments, weights, or something outside."""

    what: str
    operation: Operation | None = None
    output: int = 0


OUTSIDE = Source("outside")


class Trace(TorchDispatchMode):
    """Sees every operator below autograd; `known` says what the tensors are that were there before."""

    def __init__(self, model: nn.Module, known: dict[int, str], batch: int | None, arguments: tuple[Any, Any]) -> None:
        super().__init__()
        self.arguments = arguments
        self.operations: list[Operation] = []
        self.by_sequence: dict[int, Operation] = {}
        self.batch = batch
        self._names = {id(module): name for name, module in model.named_modules()}
        self._known: dict[int, tuple[Source, int, State | None]] = {
            key: (Source(what), -1, None) for key, what in known.items()
        }
        self._stack: list[tuple[str, str]] = []
        self._described = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, operators and the modules they belong to are followed."""
        hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def source(self, tensor: Tensor) -> Source:
        """Where a tensor came from, as far as this pass has seen."""
        return self._seen(tensor)[0]

    def _seen(self, tensor: Tensor) -> tuple[Source, State]:
        """The source and state of a tensor; it is looked at again only where it was written to since."""
        source, version, state = self._last_seen(tensor)
        if state is None or version != tensor._version:
            state = state_of(tensor)
            self._remember(tensor, source, state)
        return source, state

    def _last_seen(self, tensor: Tensor) -> tuple[Source, int, State | None]:
        known = self._known.get(id(tensor))
        return known if known is not None else getattr(tensor, "_convdebug_seen", (OUTSIDE, -1, None))

    def _remember(self, tensor: Tensor, source: Source, state: State) -> None:
        if id(tensor) in self._known:
            self._known[id(tensor)] = source, tensor._version, state
        elif source is not OUTSIDE:
            tensor._convdebug_seen = source, tensor._version, state  # type: ignore[attr-defined]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.name().partition("::")[2].partition(".")[0]
        given = _tensors((_read(name, args), list(kwargs.values())))
        seen = [self._seen(tensor) for tensor in given]
        facts = self._facts_before(name, given)
        output = function(*args, **kwargs)
        self._record(name, [(state, source) for source, state in seen], facts, given, output)
        return output

    def _facts_before(self, name: str, given: list[Tensor]) -> list[dict[str, Any]]:
        """An operator that works in place leaves nothing of what it was given."""
        in_place = name.endswith("_") and not name.startswith(FILLING)
        return [described(tensor) for tensor in given] if in_place else []

    def _record(
        self,
        name: str,
        before: list[tuple[State, Source]],
        facts: list[dict[str, Any]],
        given: list[Tensor],
        output: Any,
    ) -> None:
        made = _tensors(output)
        module, kind = self._stack[-1] if self._stack else ("", "")
        sequence = torch._C._autograd._get_sequence_nr() - 1
        operation = Operation(len(self.operations), name.strip("_"), module, kind, _users_line(), sequence, before)
        uninitialized = name.startswith(("empty", "new_empty"))
        operation.outputs = [FINE if uninitialized else state_of(tensor) for tensor in made]
        self.operations.append(operation)
        self.by_sequence[sequence] = operation
        for place, (tensor, state) in enumerate(zip(made, operation.outputs, strict=True)):
            self._remember(tensor, Source("operation", operation, place), state)
        if operation.out.bad:
            self._describe(operation, facts, given, made)

    def _describe(
        self, operation: Operation, facts: list[dict[str, Any]], given: list[Tensor], made: list[Tensor]
    ) -> None:
        bad = next(tensor for tensor, state in zip(made, operation.outputs, strict=True) if state.bad)
        operation.rows = bad_rows(bad, self.batch)
        fresh = not any(state.nan for state, _ in operation.inputs) if operation.out.nan else True
        if fresh and self._described < MOST_DESCRIBED:
            self._described += 1
            operation.facts = facts or [described(tensor) for tensor in given]
            operation.output_facts = described(bad)

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        name = self._names.get(id(module))
        outer = self._stack[-1][0] if self._stack else ""
        self._stack.append((outer if name is None else name, type(module).__name__))

    def _leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()


def producer_of(trace: Trace, tensor: Tensor) -> tuple[Source, State, list[int] | None]:
    """Go back from a bad tensor to where its first bad value came from; also the nearest known rows of the batch.

    The answer's source is the operation that made NaN or infinity from numbers, or what the model was given. An
    infinity that was written on purpose (a mask) is not the origin of the NaN that a softmax makes of it.
    """
    source, state = trace.source(tensor), state_of(tensor)
    source, state, rows = _back(source, state, nan=state.nan)
    operation = source.operation
    if operation is None or not operation.out.nan:
        return source, state, rows
    infinite = [(each, came) for each, came in operation.inputs if each.infinite]
    if not infinite or _masks(operation, infinite):
        return source, state, rows
    earlier, earlier_state, earlier_rows = _back(infinite[0][1], infinite[0][0], nan=False)
    meant = earlier.operation is not None and earlier.operation.fills
    constant = earlier.operation is None and not earlier_state.above
    if meant or constant:
        return source, state, rows
    return earlier, earlier_state, earlier_rows if earlier_rows is not None else rows


def _masks(operation: Operation, infinite: list[tuple[State, Source]]) -> bool:
    only_below = not any(state.above for state, _ in infinite)
    return only_below and any(part in operation.name for part in SOFTMAX)


def _back(source: Source, state: State, nan: bool) -> tuple[Source, State, list[int] | None]:
    rows: list[int] | None = None
    while source.operation is not None:
        operation = source.operation
        rows = operation.rows if operation.rows is not None else rows
        earlier = [(each, came) for each, came in operation.inputs if (each.nan if nan else each.infinite)]
        if not earlier:
            break
        state, source = earlier[0]
    return source, state, rows


def code_at(line: Place) -> str | None:
    """`model.py:41: x = x / norm`, as the user wrote it."""
    if line is None:
        return None
    text = linecache.getline(line[0], line[1]).strip()
    return f"{os.path.basename(line[0])}:{line[1]}" + (f": {text}" if text else "")


def _users_line() -> Place:
    """The innermost line outside torch that is being run; None where torch's own modules call one another."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(HERE) and frame.f_code.co_name == "run_once":
            return None
        if not name.startswith((TORCH, HERE)):
            return name, frame.f_lineno
        frame = frame.f_back
    return None


def _read(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without the averages (fourth and fifth) that a batch norm only writes to while it trains.

    By the time of a replay they hold what the pass that went wrong has made of them.
    """
    trains = "batch_norm" in name and ("with_update" in name or (len(args) > 5 and args[5] is True))
    return args[:3] + args[5:] if trains else args


def _tensors(value: Any) -> list[Tensor]:
    """Tensors in the arguments of an operator, which come in lists at most."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return []
