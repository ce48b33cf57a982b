"""Runs a step once more on weights that are still good, and says where its first bad value was made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .backward import BackwardTrace, Failure, gradients_of, nodes_behind
from .held import Call, as_it_was
from .isolation import copied, isolated, tensors_in
from .statistics import described, finite, largest_of, state_of
from .trace import Operation, Source, Trace, code_at, producer_of

REENTRANT = "a reentrant checkpoint cannot be looked into; use_reentrant=False can"


@dataclass
class Found:
    """What is known of the first bad value; whatever was not seen stays empty."""

    direction: str = "unknown"
    """forward, backward, inputs, labels, weights, update, unknown"""
    part: str = "model"
    module: str | None = None
    kind: str = ""
    operator: str | None = None
    code: str | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    output: dict[str, Any] = field(default_factory=dict)
    parameters: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] | None = None
    note: str = ""


def replay_forward(model: nn.Module, call: Call, device: torch.device) -> Found | None:
    """The operator that made the first bad value of the model's output; None where its output is finite."""
    with _replaying(model, call, device) as trace, torch.no_grad():
        outputs = tensors_in(run_once(model, call, device, trace))
        bad = next((output for output in outputs if not finite(output)), None)
        if bad is None:
            return None
        source, state, rows = producer_of(trace, bad)
        if source.operation is None:
            return _from_outside(source, state.nan or state.above, call, rows)
        return _from_operation("forward", source.operation, rows, model)


def replay_backward(
    model: nn.Module, call: Call, device: torch.device, loss_again: Callable[[Call, list[Tensor]], Tensor | None]
) -> Found | None:
    """The operator whose backward made bad gradients of finite ones; None where all came out finite.

    It goes back from the gradients that came to the outputs, or from the loss, where that can be done again.
    """
    if not all(finite(gradient) for gradient in call.gradients.values()):
        return Found("backward", part="loss")
    with _replaying(model, call, device) as trace, torch.enable_grad():
        outputs = tensors_in(run_once(model, call, device, trace))
        begins = _beginnings(call, outputs, loss_again)
        if not begins or not all(finite(output) for output in outputs):
            return None
        backward = BackwardTrace([begin for begin, _ in begins], call.batch)
        try:
            parameters = [each for each in model.parameters() if each.requires_grad]
            gradients = gradients_of(begins, parameters)
        finally:
            backward.close()
        producer = backward.producer()
        if producer is None or all(finite(gradient) for gradient in gradients):
            hidden = any(
                "CheckpointFunction" in node.name() for node in nodes_behind([each.grad_fn for each, _ in begins])
            )
            return Found("backward", note=REENTRANT) if hidden else None
        return _from_failure(producer, trace, model)


def _beginnings(
    call: Call, outputs: list[Tensor], loss_again: Callable[[Call, list[Tensor]], Tensor | None]
) -> list[tuple[Tensor, Tensor]]:
    """Tensors to go back from, each with its gradient."""
    if call.gradients:
        pairs = [(outputs[place], gradient) for place, gradient in call.gradients.items() if place < len(outputs)]
    else:
        loss = loss_again(call, outputs)
        pairs = [] if loss is None else [(loss, torch.ones_like(loss))]
    return [(begin, gradient) for begin, gradient in pairs if begin.requires_grad]


def run_once(model: nn.Module, call: Call, device: torch.device, trace: Trace) -> Any:
    """The call again, on copies of its arguments."""
    with as_it_was(call, device), trace.running():
        return model(*trace.arguments[0], **trace.arguments[1])


@contextmanager
def _replaying(model: nn.Module, call: Call, device: torch.device) -> Iterator[Trace]:
    with warnings.catch_warnings(), isolated(model), torch.compiler.set_stance("force_eager"):
        warnings.simplefilter("ignore")
        arguments = copied(call.inputs), copied(call.keywords)
        known = {id(tensor): "inputs" for tensor in tensors_in(arguments)}
        known |= {id(each): "weights" for each in (*model.parameters(), *model.buffers())}
        yield Trace(model, known, call.batch, arguments)


def _from_outside(source: Source, meant_by_nobody: bool, call: Call, rows: list[int] | None) -> Found:
    """The bad value was there before the model began."""
    if source.what == "inputs":
        given = next((tensor for tensor in call.tensors() if state_of(tensor).bad), None)
        made_elsewhere = given is not None and given.requires_grad
        facts = [] if given is None else [described(given, "input")]
        note = "the input was computed by other modules, which made it non-finite" if made_elsewhere else ""
        return Found("unknown" if made_elsewhere else "inputs", inputs=facts, rows=rows, note=note)
    what = "a buffer of the model" if source.what == "weights" else "a tensor that is no parameter of the model"
    return Found("unknown", note=f"{what} held the first non-finite value", rows=rows)


def _from_operation(direction: str, operation: Operation, rows: list[int] | None, model: nn.Module) -> Found:
    return Found(
        direction,
        module=operation.module,
        kind=operation.kind,
        operator=operation.name,
        code=code_at(operation.line),
        inputs=operation.facts,
        output=operation.output_facts,
        parameters=parameters_of(model, operation.module),
        rows=rows if rows is not None else operation.rows,
    )


def _from_failure(failure: Failure, trace: Trace, model: nn.Module) -> Found:
    operation = trace.by_sequence.get(failure.sequence)
    module = operation.module if operation else None
    return Found(
        "backward",
        part="model" if operation else "loss",
        module=module,
        kind=operation.kind if operation else "",
        operator=failure.name,
        code=code_at(operation.line) if operation else None,
        inputs=[*failure.kept, failure.gradient] if failure.gradient else failure.kept,
        output=failure.output,
        parameters=parameters_of(model, module) if module is not None else [],
        rows=failure.rows,
    )


def parameters_of(model: nn.Module, module: str) -> list[dict[str, Any]]:
    """Extremes of the parameters that a module owns itself."""
    try:
        owner = model.get_submodule(module)
    except AttributeError:
        return []
    prefix = module + "." if module else ""
    return [described(each.detach(), prefix + name) for name, each in owner.named_parameters(recurse=False)]


def bad_parameters(model: nn.Module) -> list[str]:
    """The names of the parameters that hold NaN or infinity."""
    return [name for name, each in model.named_parameters() if not finite(each.detach())]


def weights_of(model: nn.Module) -> dict[str, float]:
    """How large the weights are by now."""
    return {"largest": largest_of([each.detach() for each in model.parameters()])}
