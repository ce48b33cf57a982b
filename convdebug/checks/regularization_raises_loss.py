"""Does the loss go up when regularization does?"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convdebug.batches import seeded, split_batch
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import refuse
from convdebug.checks.probing import answer_of
from convdebug.search.short_training import held_batches
from convdebug.target import Target

FACTORS = (0.0, 1.0, 10.0, 100.0)
START = 1e-3
"""The strength that is tried where the target's own is 0."""


@dataclass(frozen=True)
class Rung:
    """One strength: the loss with its penalty, and how the regularization alone pulls at the weights.

    `pull` is the norm of the penalty's gradient, or how far one step of weight decay with all other gradients zero
    moves the weights towards 0, against their size.
    """

    strength: float
    loss: float
    penalty: float
    pull: float


def run(bench: Bench) -> Outcome:
    """The same weights and batch at rising strengths: the penalty in the loss, or the weight decay of the optimizer."""
    what, own, rungs = _ladder(bench)
    bad = next((each for each in rungs if not math.isfinite(each.loss)), None)
    if bad is not None:
        refuse(bench, _not_finite(bad), held_batches(bench.target, 1, bench.device), standing=True)
    rises = all(after.loss > before.loss for before, after in pairwise(rungs))
    pulls = rungs[-1].pull > max(rungs[0].pull, 0.0)
    bench.run.event("regularization", 0, what=what, rungs=[vars(each) for each in rungs], rises=rises, pulls=pulls)
    _draw(bench, what, rungs)
    measured = {
        "without": rungs[0].loss,
        "with the strongest": rungs[-1].loss,
        "own strength": own,
        "penalty at its own": rungs[1].penalty if own else 0.0,
        "losses": [each.loss for each in rungs],
    }
    return Outcome(_summary(what, own, rungs), measured, {}, bench.ask_rules("regularization-without-effect"))


def _not_finite(rung: Rung) -> str:
    what = "the loss" if math.isfinite(rung.penalty) else "the penalty"
    return f"{what} is {rung.loss if what == 'the loss' else rung.penalty} at strength {rung.strength:g}"


def _ladder(bench: Bench) -> tuple[str, float | None, list[Rung]]:
    """(what is raised, the target's own strength, the rungs)."""
    config = bench.target.config
    if config is not None and (config.regularization.l2 or not config.optimizer.weight_decay):
        own = config.regularization.l2
        steps = [(own or START) * factor for factor in FACTORS]
        targets = [Target.from_config(config.changed(**{"regularization.l2": each})) for each in steps]
        return "L2 in the loss", own, _by_penalty(bench, targets, steps)
    if bench.target.penalty is not None:
        return "the target's own penalty", 1.0, _by_penalty(bench, _multiples(bench.target), FACTORS)
    model = bench.target.build(bench.seed).to(bench.device)
    optimizer = bench.target.optimizer(model)
    groups = [group for group in optimizer.param_groups if "weight_decay" in group]
    if not groups:
        raise Skipped(
            f"{type(optimizer).__name__} has no weight decay and the target no penalty: its regularization cannot be "
            "changed"
        )
    own = max(float(group["weight_decay"]) for group in groups)
    return "weight decay of the optimizer", own, _by_decay(bench, model, optimizer, own)


def _multiples(target: Target) -> list[Target]:
    penalty = target.penalty
    assert penalty is not None

    def scaled(factor: float) -> Target:
        changed = copy.copy(target)
        changed.penalty = (lambda model: factor * penalty(model)) if factor else None
        return changed

    return [scaled(factor) for factor in FACTORS]


def _by_penalty(bench: Bench, targets: Sequence[Target], strengths: Sequence[float]) -> list[Rung]:
    """The total loss as the training loop computes it."""
    model = bench.target.build(bench.seed).to(bench.device).train()
    data_loss = _data_loss(bench, model)
    rungs = []
    for target, strength in zip(targets, strengths, strict=True):
        penalty, pull = (0.0, 0.0) if target.penalty is None else _penalty(model, target.penalty(model))
        rungs.append(Rung(strength, data_loss + penalty, penalty, pull))
        bench.progress(len(rungs), len(strengths), f"strength {strength:g}")
    return rungs


def _penalty(model: nn.Module, penalty: Tensor) -> tuple[float, float]:
    """Its value, and the norm of its gradient: 0 where it is cut off from the weights."""
    if not penalty.requires_grad:
        return float(penalty), 0.0
    weights = [each for each in model.parameters() if each.requires_grad]
    gradients = torch.autograd.grad(penalty, weights, allow_unused=True)
    squares = sum(float(each.double().square().sum()) for each in gradients if each is not None)
    return float(penalty.detach()), math.sqrt(squares)


def _data_loss(bench: Bench, model: nn.Module) -> float:
    """The loss of one batch without any penalty; 0 where the target's own train_step hides it."""
    inputs, labels = split_batch(held_batches(bench.target, 1, bench.device)[0])
    with torch.no_grad(), seeded(bench.seed):
        try:
            return float(bench.target.data_loss(answer_of(bench, model, inputs), labels))
        except Skipped:
            return 0.0
        except Exception:
            if bench.target.train_step is None:
                raise
            return 0.0


def _by_decay(bench: Bench, model: nn.Module, optimizer: Optimizer, own: float) -> list[Rung]:
    """The optimizer's decay is no part of the loss; ½ · decay · ‖w‖² is the penalty whose slope it follows."""
    data_loss = _data_loss(bench, model.train())
    rungs = []
    for factor in FACTORS:
        penalty, strongest = 0.0, factor * (own or START)
        for group in optimizer.param_groups:
            if "weight_decay" in group:
                decay = factor * (float(group["weight_decay"]) if own else START)
                penalty += 0.5 * decay * _squares(group["params"])
        rungs.append(Rung(strongest, data_loss + penalty, penalty, _shrinking(bench, factor, own)))
        bench.progress(len(rungs), len(FACTORS), f"decay {strongest:g}")
    return rungs


def _squares(parameters: Sequence[nn.Parameter]) -> float:
    return sum(float(each.detach().double().square().sum()) for each in parameters)


def _shrinking(bench: Bench, factor: float, own: float) -> float:
    """How far one step with all gradients zero moves the weights towards 0 (or beyond it), against their size."""
    model = bench.target.build(bench.seed).to(bench.device)
    optimizer = bench.target.optimizer(model)
    for group in optimizer.param_groups:
        if "weight_decay" in group:
            group["weight_decay"] = factor * (group["weight_decay"] if own else START)
    held = [each for group in optimizer.param_groups for each in group["params"] if each.requires_grad]
    for each in held:
        each.grad = torch.zeros_like(each)
    before = [each.detach().double().clone() for each in held]
    optimizer.step()
    size = sum(float(each.square().sum()) for each in before)
    moved = sum(float(((old - new.detach()).nan_to_num() * old).sum()) for old, new in zip(before, held, strict=True))
    return moved / size if size else math.nan


def _draw(bench: Bench, what: str, rungs: Sequence[Rung]) -> None:
    bench.draw(Chart("loss", {"loss": [each.loss for each in rungs]}, what,
                     names=[f"{each.strength:g}" for each in rungs]))  # fmt: skip


def _summary(what: str, own: float | None, rungs: Sequence[Rung]) -> str:
    steps = ", ".join(f"{each.loss:.4g} at {each.strength:g}" for each in rungs[1:])
    mine = f" (the target's own is {own:g})" if own is not None else ""
    text = f"the loss is {rungs[0].loss:.4g} without regularization, {steps} of {what}{mine}"
    if "decay" not in what:
        return text
    return (
        f"{text}, counted as ½ · decay · ‖w‖²; a step of the strongest decay alone moves the weights by "
        f"{rungs[-1].pull:.2%} of their size towards 0"
    )
