"""Is the loss of fresh weights what chance gives? Regularization off, several seeds, several batches."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from convdebug.batches import call_model, split_batch
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import refuse
from convdebug.rules.initial_loss_off import severity_of
from convdebug.search.short_training import held_batches, seed_all
from convdebug.target import Target, is_binary_entropy
from convdebug_sessions import Diagnosis, Remedy

SEEDS = 5
BATCHES = 2


def run(bench: Bench) -> Outcome:
    """Mean loss over seeds and batches against that of knowing nothing: ln C, ln 2, or the best constant answer."""
    if bench.target.train_step is not None:
        raise Skipped("the target has its own train_step, so its loss cannot be computed apart from a step")
    plain = bench.target.without_regularization()
    batches = held_batches(plain, BATCHES, bench.device)
    losses, scores = _losses(bench, plain, batches)
    _require_numbers(bench, plain, batches, losses)
    labels = split_batch(batches[0])[1]
    chance = _chance(plain, scores, labels)
    loss, spread = float(np.mean(losses)), float(np.std(losses))
    _draw(bench, losses, chance)
    diagnoses = _diagnoses(bench, plain, loss, chance, scores, labels)
    measured = {"loss": loss, "spread": spread, "ratio": loss / chance if chance else math.nan, "losses": losses}
    return Outcome(_summary(plain, loss, spread, chance, len(losses)), measured, {"loss": chance}, diagnoses)


def _losses(bench: Bench, target: Target, batches: Sequence[Any]) -> tuple[list[float], Any]:
    losses: list[float] = []
    group = bench.run.group(("train/loss",))
    scores: Any = None
    for seed in range(SEEDS):
        model = target.build(bench.seed + seed).to(bench.device).train()
        seed_all(seed)
        for batch in batches:
            inputs, labels = split_batch(batch)
            with torch.no_grad():
                scores = call_model(model, inputs)
                losses.append(float(target.data_loss(scores, labels)))
            group.append(len(losses) - 1, (losses[-1],))
        bench.progress(seed + 1, SEEDS, "fresh networks")
        if bench.time_left < 0:
            break
    return losses, scores


def _require_numbers(bench: Bench, plain: Target, batches: Sequence[Any], losses: Sequence[float]) -> None:
    """The start whose loss is no number is made once more, watched."""
    bad = next((start for start, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is not None:
        seed, batch = divmod(bad, len(batches))
        reason = f"the first loss is {losses[bad]} at fresh start {bad + 1}"
        refuse(bench, reason, batches[batch:], target=plain, standing=True, seed=seed)


def _draw(bench: Bench, losses: Sequence[float], chance: float | None) -> None:
    names = [str(number) for number in range(1, len(losses) + 1)]
    bench.draw(Chart("loss", {"first loss": losses}, "fresh start", names=names, level=chance, level_name="chance"))


def _chance(target: Target, scores: Any, labels: Any) -> float | None:
    """ln C or ln 2 where that is known, else the loss of one answer to everything (the labels' variance for MSE)."""
    if target.expected_initial_loss is not None:
        return target.expected_initial_loss
    if not isinstance(scores, torch.Tensor) or not scores.is_floating_point():
        return None
    chance = float(target.data_loss(_one_answer(target, scores, labels), labels))
    return chance if math.isfinite(chance) and chance > 0 else None


def _one_answer(target: Target, scores: torch.Tensor, labels: Any) -> torch.Tensor:
    """The mean of the labels where they are numbers like the scores; a half for probabilities; else zero."""
    if is_binary_entropy(target.loss):
        return torch.full_like(scores, 0.5 if "Logits" not in type(target.loss).__name__ else 0.0)
    numbers = isinstance(labels, torch.Tensor) and labels.is_floating_point() and labels.shape == scores.shape
    if numbers and not bool(((labels == 0) | (labels == 1)).all()):
        return labels.mean(0, keepdim=True).expand_as(scores).to(scores)
    return torch.zeros_like(scores)


def _summary(target: Target, loss: float, spread: float, chance: float | None, count: int) -> str:
    text = f"the first loss is {loss:.4f} ± {spread:.4f} over {count} fresh starts, regularization off"
    if chance is None:
        return text + "; what chance gives is not known for this loss"
    if target.expected_initial_loss is not None:
        return text + f"; chance gives ln {round(math.exp(chance))} = {chance:.4f}"
    return text + f"; one and the same answer to everything gives {chance:.4f}"


def _diagnoses(
    bench: Bench, target: Target, loss: float, chance: float | None, scores: Any, labels: Any
) -> list[Diagnosis]:
    causes = _broadcast(bench, scores, labels, target) + _log_probabilities(bench, target, scores, loss)
    causes += _probabilities(bench, target, scores)
    if chance is None:
        return causes
    causes += _summed(bench, target, loss, chance, scores, labels)
    severity = severity_of(loss, chance)
    if severity is None or (target.expected_initial_loss is None and loss < chance):
        return causes
    severity = severity if target.expected_initial_loss is not None else "info"
    return [*causes, _off(bench, severity, loss, chance, causes)]


def _off(bench: Bench, severity: str, loss: float, chance: float, causes: Sequence[Diagnosis]) -> Diagnosis:
    meaning = (
        "The network starts out confident and wrong: usually its weights or its inputs are too large."
        if loss > chance
        else "A network that knows nothing cannot do better: the loss is scaled down, or labels leak in."
    )
    return bench.finding(
        "initial-loss-off",
        severity,
        f"The first loss is {loss:.4g} where chance gives {chance:.4g} ({loss / chance:.1f} times). {meaning}",
        evidence={"first_loss": loss, "expected": chance, "ratio": loss / chance},
        caused_by=causes[0].rule if causes else None,
        remedies=[
            Remedy("Scale the inputs to mean 0 and deviation 1."),
            Remedy("Initialize the last layer with small weights; a zero last layer starts at chance exactly."),
        ],
    )


def _summed(bench: Bench, target: Target, loss: float, chance: float, scores: Any, labels: Any) -> list[Diagnosis]:
    count = len(labels) if isinstance(labels, torch.Tensor) else 0
    if loss < 1.15 * chance or count < 2 or not _grows_with_the_batch(target, scores, labels):
        return []
    return [
        bench.finding(
            "loss-summed-over-batch",
            "warning",
            f"The first loss is {loss:.4g}, which is {loss / count:.4g} for each of the {count} examples of the batch: "
            "the loss is summed, not averaged, so its gradients (and the rate that fits) grow with the batch.",
            evidence={"first_loss": loss, "batch_size": float(count), "expected": chance},
            remedies=[Remedy('Average the loss: reduction="mean", or divide by the batch size.')],
        )
    ]


def _grows_with_the_batch(target: Target, scores: Any, labels: Any) -> bool:
    """Whether the same examples given twice have twice the loss."""
    if not isinstance(scores, torch.Tensor) or len(scores) != len(labels):
        return False
    once, twice = target.loss(scores, labels), target.loss(torch.cat([scores, scores]), torch.cat([labels, labels]))
    return bool((twice - 2 * once).abs() < 1e-3 * once.abs())


def _log_probabilities(bench: Bench, target: Target, scores: Any, loss: float) -> list[Diagnosis]:
    is_nll = isinstance(target.loss, torch.nn.NLLLoss) or target.loss is torch.nn.functional.nll_loss
    if not is_nll or not isinstance(scores, torch.Tensor) or not scores.is_floating_point():
        return []
    sums = scores.exp().sum(dim=1)
    if bool(((sums - 1).abs() < 0.01).all()):
        return []
    return [
        bench.finding(
            "loss-expects-log-probabilities",
            "error",
            f"NLLLoss is given raw scores (their exponentials sum to {float(sums.mean()):.3g}, not 1): the loss is "
            f"{loss:.4g} and can fall below zero without end while nothing is learned.",
            evidence={"first_loss": loss, "sum_of_exponentials": float(sums.mean())},
            remedies=[Remedy("Use CrossEntropyLoss, or end the network with log_softmax over the classes.")],
        )
    ]


def _probabilities(bench: Bench, target: Target, scores: Any) -> list[Diagnosis]:
    is_entropy = isinstance(target.loss, torch.nn.CrossEntropyLoss) or target.loss is torch.nn.functional.cross_entropy
    if not is_entropy or not isinstance(scores, torch.Tensor) or scores.ndim < 2 or scores.shape[1] < 2:
        return []
    sums = scores.sum(dim=1)
    if bool((scores < 0).any()) or bool(((sums - 1).abs() > 1e-3).any()):
        return []
    return [
        bench.finding(
            "double-softmax",
            "warning",
            "Cross entropy is given probabilities (every row lies in [0, 1] and sums to 1); it takes their softmax "
            f"once more, so the loss can never fall below {_floor(scores.shape[1]):.2f} and the gradients are small.",
            evidence={"row_sum": float(sums.mean()), "lowest_loss": _floor(scores.shape[1])},
            remedies=[Remedy("Take the softmax out of the network; give the loss the raw scores.")],
        )
    ]


def _floor(classes: int) -> float:
    """The lowest cross entropy when one score is 1 and the others 0."""
    return math.log(math.e + classes - 1) - 1


def _broadcast(bench: Bench, scores: Any, labels: Any, target: Target) -> list[Diagnosis]:
    tensors = isinstance(scores, torch.Tensor) and isinstance(labels, torch.Tensor)
    if (
        not tensors
        or not labels.is_floating_point()
        or scores.numel() != labels.numel()
        or scores.shape == labels.shape
    ):
        return []
    given, wanted = tuple(scores.shape), tuple(labels.shape)
    return [
        bench.finding(
            "loss-shape-broadcast",
            "error",
            f"The network gives {given} and the labels are {wanted}: an elementwise loss broadcasts them to "
            f"{tuple(torch.broadcast_shapes(given, wanted))} and compares every example with every other.",
            evidence={"examples": float(len(labels))},
            remedies=[Remedy("Bring both to the same shape: output.squeeze(1), or labels[:, None].")],
        )
    ]
