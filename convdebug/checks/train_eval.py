"""Do dropout and batch norm behave differently in training, and the same twice in evaluation?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from convdebug.batches import seeded
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import require_finite_output
from convdebug.checks.probing import few_examples, listed, moved, sample, scores_of
from convdebug_sessions import Diagnosis, Remedy

EXAMPLES = 16
SAME = 1e-6
"""Difference of two outputs against their size below which they count as the same."""
_FLOOR = 1e-9
_DROPOUTS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout,
)  # fmt: skip
_ATTENTION = F.scaled_dot_product_attention


@dataclass
class Behaviour:
    """Outputs of two passes with different random numbers in one mode, and what happened in them."""

    first: Tensor
    second: Tensor
    dropping: list[str] = field(default_factory=list)
    changed_buffers: list[str] = field(default_factory=list)

    @property
    def difference(self) -> float:
        """How far the two passes are apart."""
        return _apart(self.first, self.second)


def run(bench: Bench) -> Outcome:
    """Two passes in training mode and two in evaluation mode over the same batch."""
    model = moved(bench.target.build(bench.seed), bench.seed).to(bench.device)
    inputs, _ = few_examples(bench, EXAMPLES)
    _require_numbers(bench, model, inputs)
    training = _behaviour(bench, model.train(), inputs)
    still = _still(model)
    bench.progress(1, 2, "twice in training mode")
    evaluation = _behaviour(bench, model.eval(), inputs)
    bench.progress(2, 2, "twice in evaluation mode")
    modal = _modal(model)
    between = _apart(training.first, evaluation.first)
    if not modal and max(between, training.difference, evaluation.difference) <= SAME:
        raise Skipped("the network has neither dropout nor batch norm, and answers alike in both modes")
    measured = {
        "training twice": training.difference,
        "training against evaluation": between,
        "evaluation twice": evaluation.difference,
        "layers with two modes": len(modal),
    }
    _draw(bench, training.difference, between, evaluation.difference)
    diagnoses = _awake_in_evaluation(bench, evaluation)
    diagnoses += (
        _held(bench, model, modal, still) if still else _unused(bench, modal, max(between, training.difference))
    )
    return Outcome(_summary(measured), measured, {"evaluation twice": 0.0}, diagnoses)


def _require_numbers(bench: Bench, model: nn.Module, inputs: Any) -> None:
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for mode, name in ((True, "training"), (False, "evaluation")):
        model.train(mode)
        with torch.no_grad(), seeded(bench.seed, 1):
            require_finite_output(
                bench, model, lambda: scores_of(bench, model, inputs), sample(bench, EXAMPLES),
                f"in {name} mode, before any update",
            )  # fmt: skip
    for name, buffer in model.named_buffers():
        if name in kept and kept[name].shape == buffer.shape:
            buffer.copy_(kept[name])


def _modal(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if _has_two_modes(module)]


def _has_two_modes(module: nn.Module) -> bool:
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout > 0
    return isinstance(module, _NormBase) and not isinstance(module, nn.modules.instancenorm._InstanceNorm)


def _still(model: nn.Module) -> list[str]:
    """Layers that stayed in evaluation mode though the model was put in training mode, dropout before batch norm."""
    still = [(name, module) for name, module in model.named_modules() if _has_two_modes(module) and not module.training]
    return [name for name, _ in sorted(still, key=lambda each: isinstance(each[1], _NormBase))]


def _behaviour(bench: Bench, model: nn.Module, inputs: Any) -> Behaviour:
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    outputs, drops = [], Drops(model)
    for seed in (1, 2):
        with seeded(bench.seed, seed), torch.no_grad(), drops.listening():
            outputs.append(scores_of(bench, model, inputs).double().cpu())
    changed = [name for name, buffer in model.named_buffers() if not _equal(buffer, kept.get(name))]
    for name, buffer in model.named_buffers():
        if name in changed and name in kept:
            buffer.copy_(kept[name])
    return Behaviour(outputs[0], outputs[1], list(dict.fromkeys(drops.found)), changed)


def _equal(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and torch.equal(one, other)


def _apart(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return 1.0
    size = float(one.abs().max()) or 1.0
    return float((one - other).abs().nan_to_num().max()) / size


class Drops(TorchFunctionMode):
    """Hears every dropout that is at work, and in which module it was called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.found: list[str] = []
        self._inside: list[str] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hooks on all modules for as long as one pass takes."""
        hooks: list[Any] = []
        for name, module in self.model.named_modules():
            hooks.append(module.register_forward_pre_hook(lambda _m, _i, name=name: self._inside.append(name)))
            hooks.append(module.register_forward_hook(lambda _m, _i, _o: self._leave(), always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leave(self) -> None:
        self._inside.pop()

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        if self._drops(function, arguments, keywords):
            self.found.append((self._inside[-1] if self._inside else "") or type(self.model).__name__)
        return function(*arguments, **keywords)

    @staticmethod
    def _drops(function: Any, arguments: Any, keywords: dict[str, Any]) -> bool:
        if function is _ATTENTION:
            p = keywords.get("dropout_p", arguments[4] if len(arguments) > 4 else 0.0)
            return bool(p > 0)
        if function not in _DROPOUTS:
            return False
        p = keywords.get("p", arguments[1] if len(arguments) > 1 else 0.5)
        at_work = keywords.get("training", arguments[2] if len(arguments) > 2 else True)
        return bool(at_work) and float(p) > 0


def _draw(bench: Bench, training: float, between: float, evaluation: float) -> None:
    values = [max(each, _FLOOR) for each in (training, between, evaluation)]
    names = ["training twice", "training, evaluation", "evaluation twice"]
    bench.draw(Chart("difference of outputs", {"difference": values}, names=names, bars=True, log_y=True))


def _awake_in_evaluation(bench: Bench, evaluation: Behaviour) -> list[Diagnosis]:
    if evaluation.dropping:
        place = evaluation.dropping[0]
        seen = (
            f"dropout is at work in {listed(evaluation.dropping)}, and the same batch gives outputs that differ by "
            f"{evaluation.difference:.2g} of their size"
        )
        remedy = Remedy("Use nn.Dropout, or pass training=self.training (dropout_p=p if self.training else 0.0).")
    elif evaluation.changed_buffers:
        place = evaluation.changed_buffers[0].rpartition(".")[0]
        seen = f"a pass changes {listed(evaluation.changed_buffers)}"
        remedy = Remedy("Pass training=self.training to batch_norm, and keep train() and eval() as torch has them.")
    elif evaluation.difference > SAME:
        return [_sampling(bench, evaluation)]
    else:
        return []
    return [
        bench.finding(
            "train-mode-while-validating",
            "warning",
            f"In evaluation mode {seen}: validation is then measured on a network that nobody will use.",
            layer=place or None,
            evidence={"difference": evaluation.difference},
            remedies=[remedy],
        )
    ]


def _sampling(bench: Bench, evaluation: Behaviour) -> Diagnosis:
    return bench.finding(
        "train-mode-while-validating",
        "info",
        f"In evaluation mode the same batch gives outputs that differ by {evaluation.difference:.2g} of their size, "
        "and no dropout is at work: the network draws random numbers of its own (as one that samples does).",
        evidence={"difference": evaluation.difference},
        remedies=[Remedy("If that is not meant, draw only where self.training is true.")],
    )


def _held(bench: Bench, model: nn.Module, modal: list[str], still: list[str]) -> list[Diagnosis]:
    """Frozen batch norm is a habit of fine-tuning; dropout that sleeps is not."""
    meant = isinstance(model.get_submodule(still[0]), _NormBase)
    return [
        bench.finding(
            "eval-mode-while-training",
            "info" if meant else "warning",
            f"After model.train() {len(still)} of {len(modal)} layers with two modes stay in evaluation mode "
            f"({listed(still)}): the model's own train() holds them there.",
            layer=still[0],
            layers=still,
            evidence={"layers": float(len(still))},
            remedies=[Remedy("Fine for a frozen backbone; else let train() call super().train(mode).")],
        )
    ]


def _unused(bench: Bench, modal: list[str], difference: float) -> list[Diagnosis]:
    if not modal or difference > SAME:
        return []
    return [
        bench.finding(
            "eval-mode-while-training",
            "warning",
            f"{listed(modal)} should behave differently in training, but the outputs of both modes are the same "
            f"(they differ by {difference:.1g} of their size): forward does not use these layers, or not their mode.",
            layer=modal[0],
            layers=modal,
            evidence={"difference": difference},
            remedies=[Remedy("Call these layers in forward, or take them out of the model.")],
        )
    ]


def _summary(measured: dict[str, Any]) -> str:
    count = measured["layers with two modes"]
    return (
        f"{count} layer{'s' if count != 1 else ''} with two modes: outputs differ by "
        f"{measured['training against evaluation']:.2g} of their size between training and evaluation, by "
        f"{measured['training twice']:.2g} twice in training, by {measured['evaluation twice']:.2g} twice in evaluation"
    )
