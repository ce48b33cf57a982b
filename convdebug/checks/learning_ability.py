"""Looks for what keeps a network from learning: twin units, lost gradients, forgotten parameters, blind outputs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from convdebug.batches import call_model, split_batch
from convdebug.checks.bench import Bench
from convdebug.learner import Learner
from convdebug.search.short_training import learner_of
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Remedy

_SAME = 1e-6


def why_nothing_is_learned(bench: Bench, target: Target, batch: Any) -> list[Diagnosis]:
    """The causes that can be proven on fresh weights with one backward; empty where none is found."""
    if target.train_step is not None:
        return []
    learner = learner_of(target, target.build(bench.seed), bench.device)
    twins = twin_layers(learner.model)
    scores = _backward(learner, batch)
    found = [_symmetric(bench, twins)] if twins else []
    found += _forgotten(bench, learner)
    found += _no_gradient(bench, learner)
    if not found and not twins:
        found += _blind(bench, learner, batch, scores)
    return found + _contradiction(bench, batch)


def _backward(learner: Learner, batch: Any) -> Any:
    inputs, labels = split_batch(batch)
    scores = call_model(learner.model, inputs)
    loss, _, _ = learner.target.total_loss(learner.model, scores, labels)
    learner.model.zero_grad(set_to_none=True)
    if loss.requires_grad:
        loss.backward()
    return scores


def twin_layers(model: nn.Module) -> list[str]:
    """The weights whose units (rows) are all the same, so that they can never become different."""
    return [name for name, weight in model.named_parameters() if weight.ndim > 1 and len(weight) > 1 and _twins(weight)]


def _twins(weight: torch.Tensor) -> bool:
    rows = weight.detach().flatten(1)
    return bool(((rows - rows[:1]).abs().amax() <= _SAME * rows.abs().amax()).item())


def _symmetric(bench: Bench, twins: Sequence[str]) -> Diagnosis:
    return bench.finding(
        "symmetric-weights",
        "error",
        f"All units of {_listed(twins)} start with the same weights. They then give the same output, get the same "
        "gradient and stay the same for ever: the layer is one unit.",
        layer=twins[0].removesuffix(".weight"),
        layers=[name.removesuffix(".weight") for name in twins],
        evidence={"layers": float(len(twins))},
        remedies=[
            Remedy("Initialize the weights at random (He for ReLU, Xavier for tanh).", _init_change(bench)),
        ],
    )


def _init_change(bench: Bench) -> dict[str, Any] | None:
    if bench.target.config is None:
        return None
    return {"model.init": "xavier" if bench.target.config.model.activation in ("tanh", "sigmoid") else "he"}


def _forgotten(bench: Bench, learner: Learner) -> list[Diagnosis]:
    missing = forgotten_parameters(learner)
    if not missing:
        return []
    return [
        bench.finding(
            "parameters-not-in-optimizer",
            "error",
            f"{len(missing)} parameters receive gradients and are in no optimizer, so they never change: "
            f"{_listed(missing)}. Were layers replaced after the optimizer was made?",
            layer=missing[0].rpartition(".")[0] or missing[0],
            layers=missing,
            evidence={"parameters": float(len(missing))},
            remedies=[Remedy("Make the optimizer from model.parameters() after the model is complete.")],
        )
    ]


def forgotten_parameters(learner: Learner) -> list[str]:
    """Names of parameters with a gradient that the optimizer does not hold."""
    held = {id(each) for group in learner.optimizer.param_groups for each in group["params"]}
    named = learner.model.named_parameters()
    return [name for name, each in named if each.requires_grad and each.grad is not None and id(each) not in held]


def _no_gradient(bench: Bench, learner: Learner) -> list[Diagnosis]:
    lost = [name for name, each in learner.model.named_parameters() if each.requires_grad and each.grad is None]
    if not lost:
        return []
    weights = [name for name, each in learner.model.named_parameters() if name in lost and each.ndim > 1]
    return [
        bench.finding(
            "no-gradient",
            "error" if weights else "warning",
            f"No gradient reaches {_listed(lost)}: the loss does not depend on them, or the graph is cut in between.",
            layer=lost[0].rpartition(".")[0] or lost[0],
            layers=lost,
            evidence={"parameters": float(len(lost))},
            remedies=[
                Remedy("Look for detach(), .data, no_grad(), item() or numpy() between these layers and the loss."),
                Remedy("Take modules that forward never calls out of the model."),
            ],
        )
    ]


def _blind(bench: Bench, learner: Learner, batch: Any, scores: Any) -> list[Diagnosis]:
    inputs, _ = split_batch(batch)
    if not isinstance(scores, torch.Tensor) or not isinstance(inputs, torch.Tensor) or len(scores) < 2:
        return []
    if not inputs.is_floating_point() or float(inputs.float().std()) == 0 or varies(scores):
        return []
    return [
        bench.finding(
            "input-ignored",
            "error",
            "The network gives every one of the 20 different inputs the same output: what it says does not depend on "
            "what it sees.",
            evidence={"spread_of_outputs": float(scores.detach().float().std(dim=0).mean())},
            remedies=[
                Remedy("Look for an input that is overwritten, a constant passed on, or activations that are all 0.")
            ],
        )
    ]


def varies(scores: torch.Tensor) -> bool:
    """Whether the outputs differ between the examples of a batch."""
    rows = scores.detach().float().flatten(1) if scores.ndim > 1 else scores.detach().float()[:, None]
    return bool((rows - rows[:1]).abs().amax() > _SAME * rows.abs().amax().clamp_min(1e-30))


def _contradiction(bench: Bench, batch: Any) -> list[Diagnosis]:
    inputs, labels = split_batch(batch)
    if not isinstance(inputs, torch.Tensor) or not isinstance(labels, torch.Tensor) or labels.ndim != 1:
        return []
    seen: dict[bytes, Any] = {}
    for row, label in zip(inputs.detach().cpu(), labels.tolist(), strict=True):
        if seen.setdefault(row.numpy().tobytes(), label) != label:
            return [_contradicted(bench)]
    return []


def _contradicted(bench: Bench) -> Diagnosis:
    return bench.finding(
        "labels-unrelated-to-inputs",
        "warning",
        "Among the 20 examples the same input stands twice with different labels, which nothing can learn.",
        remedies=[Remedy("Check that inputs and labels are read in the same order, and look for copied inputs.")],
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")
