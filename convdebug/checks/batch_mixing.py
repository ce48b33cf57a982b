"""Does the output of one example depend on another example of its batch? Evaluation mode, on a copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from convdebug.batches import generator, seeded
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import require_finite_output
from convdebug.checks.probing import few_examples, moved, sample, scores_of, tensors_in
from convdebug.instruments.neighbours import (
    FACTORS,
    MIXED,
    ModulesOf,
    change_between,
    exchanged,
    first_difference,
    is_per_example,
)
from convdebug.instruments.nests import mapped

EXAMPLES = 6
_FLOOR = 1e-12
_WHEN = "in evaluation mode, before any update"


def run(bench: Bench) -> Outcome:
    """Gradient of each output by every example's input; then the others are exchanged, and the output must stay."""
    model, known = _model(bench)
    inputs, _ = few_examples(bench, EXAMPLES)
    _refuse_pairs(bench, model, inputs)
    with torch.no_grad():
        require_finite_output(bench, model, lambda: _scores(bench, model, inputs), sample(bench, EXAMPLES), _WHEN)
    bench.progress(0, 2, "gradients of one output by all inputs")
    by_gradient = _influence(bench, model, inputs)
    bench.progress(1, 2, "the other examples exchanged")
    by_exchange, place = _exchanged(bench, model, inputs)
    bench.progress(2, 2)
    _tell(bench, by_gradient, by_exchange, place)
    measured = {
        "gradient_of_others": float("nan") if by_gradient is None else _others(by_gradient),
        "change_by_others": by_exchange,
        "examples": _count(inputs),
    }
    summary = _summary(measured, known)
    return Outcome(summary, measured, {"change_by_others": 0.0, "gradient_of_others": 0.0}, _judged(bench))


def _judged(bench: Bench) -> Sequence[Any]:
    return bench.ask_rules("batch-mixing")


def _model(bench: Bench) -> tuple[nn.Module, list[str]]:
    """A copy in evaluation mode; batch norm without running statistics is known to mix and gets some."""
    model = moved(bench.target.build(bench.seed), bench.seed).to(bench.device).eval()
    known = []
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            zeros = torch.zeros(module.num_features, device=bench.device)
            module.register_buffer("running_mean", zeros)
            module.register_buffer("running_var", zeros + 1)
            known.append(name)
    return model, known


def _count(inputs: Any) -> int:
    return len(tensors_in(inputs)[0])


def _scores(bench: Bench, model: nn.Module, inputs: Any) -> Tensor:
    with seeded(bench.seed):
        return scores_of(bench, model, inputs)


def _refuse_pairs(bench: Bench, model: nn.Module, inputs: Any) -> None:
    """Outputs that do not belong to one example each cannot be judged."""
    tensors = tensors_in(inputs)
    if not tensors or tensors[0].ndim == 0 or len(tensors[0]) < 2:
        raise Skipped("fewer than two examples in a batch")
    count = len(tensors[0])
    with torch.no_grad():
        whole = _scores(bench, model, inputs)
        fewer = _scores(bench, model, mapped(inputs, lambda each: each[:-1] if is_per_example(each, count) else each))
    if whole.ndim == 0 or whole.shape[0] % count or fewer.shape[0] % (count - 1):
        raise Skipped(f"the output of {count} examples has the shape {tuple(whole.shape)}: no axis of examples")
    if whole.shape[1:] != fewer.shape[1:]:
        raise Skipped(
            f"the output {tuple(whole.shape)} compares every example with every other, so it mixes on purpose"
        )


def _rows(output: Tensor, count: int) -> Tensor:
    """(N, numbers of one example); an output that holds several rows an example is taken example after example."""
    return output.reshape(count, -1)


def _influence(bench: Bench, model: nn.Module, inputs: Any) -> Tensor | None:
    """(N, N): how strongly the output of one example (row) changes with the input of another (column).

    None for inputs without gradients (indices of an embedding), and where the model cannot be differentiated.
    """
    count = _count(inputs)
    leaves = mapped(inputs, _leaf)
    wanted = [each for each in tensors_in(leaves) if each.requires_grad and is_per_example(each, count)]
    if not wanted:
        return None
    try:
        rows = _rows(_scores(bench, model, leaves), count)
        weights = torch.randn(rows.shape[1], generator=generator(bench.seed, 5)).to(rows)
        return torch.stack([_by_inputs(rows[one] @ weights, wanted, one) for one in range(count)])
    except RuntimeError:
        return None  # in-place changes of the inputs, recurrent kernels without a backward in evaluation


def _leaf(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_() if value.is_floating_point() else value


def _by_inputs(output: Tensor, wanted: list[Tensor], one: int) -> Tensor:
    gradients = torch.autograd.grad(output, wanted, retain_graph=True, allow_unused=True)
    found = [each.flatten(1).double().norm(dim=1) for each in gradients if each is not None]
    return torch.stack(found).norm(dim=0) if found else torch.zeros(len(wanted[0]), dtype=torch.float64)


def _others(influence: Tensor) -> float:
    """The largest influence of another example against the largest of an example's own."""
    own = influence.diagonal()
    others = influence - torch.diag(own)
    largest = float(influence.max())
    return float(others.max()) / largest if largest > 0 else 0.0


def _exchanged(bench: Bench, model: nn.Module, inputs: Any) -> tuple[float, str]:
    """How far an output moves when the other examples are others, and the first module where it does.

    The first example and the last one are kept in turn: some leaks (a running sum) go one way.
    """
    count = _count(inputs)
    found = []
    for kept in (0, count - 1):
        before, leaves = _answer(bench, model, inputs, kept)
        for factor in FACTORS:
            others = mapped(inputs, partial(exchanged, count=count, kept=kept, factor=factor))
            after, leaves_after = _answer(bench, model, others, kept)
            if bool(after.isfinite().all()):
                break
        found.append((change_between(before, after), first_difference(leaves, leaves_after)))
    return max(found)


def _answer(bench: Bench, model: nn.Module, inputs: Any, kept: int) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """The output of one example, and what each module puts out for it."""
    count = _count(inputs)
    with ModulesOf(model, count, kept) as leaves, torch.no_grad():
        rows = _rows(_scores(bench, model, inputs), count)
    return rows[kept].double().cpu(), leaves.kept


def _tell(bench: Bench, by_gradient: Tensor | None, by_exchange: float, place: str) -> None:
    gradient = None if by_gradient is None else _others(by_gradient)
    bench.run.event("batch-mixing", 0, gradient=gradient, change=by_exchange, module=place)
    if by_gradient is None:
        names, values = ["the others exchanged"], [max(by_exchange, _FLOOR)]
    else:
        row = by_gradient[0, 1:] / by_gradient.max().clamp_min(_FLOOR)
        names = [f"example {number}" for number in range(2, len(row) + 2)]
        values = [max(float(each), _FLOOR) for each in row]
    bench.draw(Chart("influence on the first output, against its own", {"influence": values}, names=names, bars=True,
                     log_y=True, level=MIXED, level_name="mixed above"))  # fmt: skip


def _summary(measured: dict[str, Any], known: list[str]) -> str:
    change, gradient = measured["change_by_others"], measured["gradient_of_others"]
    others = measured["examples"] - 1
    text = f"exchanging the other {others} examples of the batch moves an output by {change:.1g} of its size"
    if gradient == gradient:
        text += f", and its gradient by their inputs is {gradient:.1g} of that by its own"
    if known:
        text += f"; batch norm without running statistics ({known[0]}) mixes, as everybody knows, and was left out"
    return text
