"""Does every parameter receive a gradient, sit in the optimizer once, and change after a few steps?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convdebug.checks.bench import Bench, Outcome
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import refuse, require_numbers
from convdebug.checks.probing import listed
from convdebug.instruments.backward import listen_to_tensors, roots, stop_listening_to_tensors
from convdebug.instruments.unregistered import fingerprint, hidden_tensors, met_from, without_held
from convdebug.learner import Learner
from convdebug.search.short_training import held_batches, learner_of, seed_all
from convdebug_sessions import Diagnosis, Remedy

STEPS = 4
_NEGLIGIBLE = 1e-6
"""Against the largest gradient of the network: below, a parameter has nothing to learn (a bias before batch norm)."""


@dataclass
class Fate:
    """What became of one parameter: how often the optimizer holds it, at which rate, its largest gradient and change.

    `gradient` is None where no step gave it one; `change` is relative to its size.
    """

    name: str
    parameter: nn.Parameter
    before: Tensor
    held: int
    rate: float | None
    gradient: float | None = None

    @property
    def trainable(self) -> bool:
        return self.parameter.requires_grad

    @property
    def change(self) -> float:
        """Norm of the change against the norm it began with (or 1 for one that began at zero)."""
        moved = float((self.parameter.detach() - self.before).double().norm())
        return moved / (float(self.before.double().norm()) or 1.0)

    @property
    def still(self) -> bool:
        """Whether not one bit has changed."""
        return torch.equal(self.parameter.detach(), self.before)

    def see(self, gradient: Tensor | None) -> None:
        """Keep the largest norm of the gradients that were seen."""
        if gradient is not None:
            norm = float(gradient.detach().coalesce().values().double().norm() if gradient.is_sparse
                         else gradient.detach().double().norm())  # fmt: skip
            self.gradient = norm if self.gradient is None or not norm <= self.gradient else self.gradient


class Unknown:
    """Tensors that the first loss depends on and that the model does not know to be its own."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._met: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] | None = None

    def hear(self, begins: bool, _tensors: Any, _gradients: Any) -> None:
        """A backward pass begins or ends."""
        if begins and self._before is None:
            self._met = met_from(roots(), hidden_tensors(self._learner.model))
            self._before = {name: fingerprint(tensor) for name, tensor in self._met.items()}

    def found(self) -> dict[str, Tensor]:
        """Those that the model still has, that no optimizer holds, and that nobody has moved."""
        before, now = self._before or {}, hidden_tensors(self._learner.model) if self._met else {}
        still = {
            name: tensor
            for name, tensor in self._met.items()
            if now.get(name) is tensor and torch.equal(before[name], fingerprint(tensor))
        }
        return without_held(still, [self._learner.optimizer])


def run(bench: Bench) -> Outcome:
    """A few steps with the target's own optimizer; what each parameter received and did."""
    learner = learner_of(bench.target, bench.target.build(bench.seed), bench.device)
    batches = held_batches(bench.target, STEPS, bench.device)
    fates = _fates(learner)
    if any(each.trainable for each in fates):
        losses = _train(bench, learner, batches, fates)
        _require_numbers(bench, batches, fates, losses)
    bench.run.event("parameters", 0, parameters=[_as_json(each) for each in fates])
    _draw(bench, fates)
    measured = _measured(fates)
    return Outcome(_summary(measured, fates), measured, _expected(fates), _diagnoses(bench, fates))


def _fates(learner: Learner) -> list[Fate]:
    groups = learner.optimizer.param_groups
    held = Counter(id(each) for group in groups for each in group["params"])
    rates = {id(each): float(group["lr"]) for group in groups for each in group["params"] if "lr" in group}
    return [
        Fate(name, each, each.detach().clone(), held[id(each)], rates.get(id(each)))
        for name, each in learner.model.named_parameters()
    ]


def _train(bench: Bench, learner: Learner, batches: list[Any], fates: list[Fate]) -> list[float]:
    """The losses; the gradients are read when the optimizer steps, whoever calls it, and after the step."""

    unknown = Unknown(learner)

    def see(*_: Any) -> None:
        for fate in fates:
            fate.see(fate.parameter.grad)

    losses: list[float] = []
    group = bench.run.group(("train/loss",))
    hooks = [learner.optimizer.register_step_pre_hook(see), learner.optimizer.register_step_post_hook(see)]
    seed_all(bench.seed)
    listen_to_tensors(unknown.hear)
    try:
        for step in range(STEPS):
            if not _stepped(learner, batches[step % len(batches)]):
                break
            see()
            losses.append(float(learner.loss))
            group.append(step, (losses[-1],))
            bench.progress(step + 1, STEPS, "steps with the target's own optimizer")
            if bench.time_left < 0:
                break
    finally:
        stop_listening_to_tensors(unknown.hear)
        for hook in hooks:
            hook.remove()
    if unknown.found():
        bench.run.event("unregistered", 0, tensors={name: list(each.shape) for name, each in unknown.found().items()})
    return losses


def _require_numbers(bench: Bench, batches: list[Any], fates: list[Fate], losses: list[float]) -> None:
    """Gradients may be infinite where a gradient scaler looks for its scale: it then leaves the weights alone."""
    require_numbers(bench, losses, batches)
    bad = next((each for each in fates if not math.isfinite(each.change)), None)
    if bad is not None:
        refuse(bench, f"the change of {bad.name} is not finite", batches, steps=len(losses) + 1)


def _stepped(learner: Learner, batch: Any) -> bool:
    """One step; False where the loss hangs on no parameter at all, so that there is nothing to go back to."""
    try:
        learner.step(batch)
    except RuntimeError as error:
        if "does not require grad" in str(error):
            return False
        raise
    return True


def _as_json(fate: Fate) -> dict[str, Any]:
    return {
        "name": fate.name,
        "trainable": fate.trainable,
        "held": fate.held,
        "gradient": fate.gradient,
        "change": fate.change,
    }


def _draw(bench: Bench, fates: list[Fate]) -> None:
    shown = [each for each in fates if each.trainable] or fates
    values = [each.change if each.change > 0 else math.nan for each in shown]
    bench.draw(Chart("relative change", {"change": values}, names=[each.name for each in shown], bars=True,
                     log_y=True))  # fmt: skip


def _lost(fates: list[Fate]) -> list[Fate]:
    return [each for each in fates if each.trainable and each.gradient is None]


def _forgotten(fates: list[Fate]) -> list[Fate]:
    return [each for each in fates if each.trainable and each.gradient is not None and not each.held]


def _held_twice(fates: list[Fate]) -> list[Fate]:
    return [each for each in fates if each.held > 1]


def _frozen(fates: list[Fate]) -> list[Fate]:
    """Held and trainable, yet not one bit has changed; without those that have nothing to learn."""
    largest = max((each.gradient for each in fates if each.gradient is not None), default=0.0)
    return [
        each
        for each in fates
        if each.trainable and each.held and each.still and each.gradient is not None
        and not 0 < each.gradient < _NEGLIGIBLE * largest
    ]  # fmt: skip


def _measured(fates: list[Fate]) -> dict[str, Any]:
    return {
        "parameters": len(fates),
        "trainable": sum(each.trainable for each in fates),
        "without gradient": len(_lost(fates)),
        "in no optimizer": len(_forgotten(fates)),
        "held twice": len(_held_twice(fates)),
        "unchanged": len(_frozen(fates)),
    }


def _expected(fates: list[Fate]) -> dict[str, Any]:
    return {"without gradient": 0, "in no optimizer": 0, "held twice": 0, "unchanged": 0}


def _summary(measured: dict[str, Any], fates: list[Fate]) -> str:
    bad = {name: measured[name] for name in _expected(fates) if measured[name]}
    text = f"{measured['trainable']} of {measured['parameters']} parameters are to be trained"
    if bad:
        return text + "; " + ", ".join(f"{count} {name}" for name, count in bad.items())
    if not measured["trainable"]:
        return text
    changes = sorted(each.change for each in fates if each.trainable)
    return (
        text
        + f", each has a gradient, is held once and changed in {STEPS} steps, by {changes[0]:.1g} to {changes[-1]:.1g}"
    )


def _diagnoses(bench: Bench, fates: list[Fate]) -> list[Diagnosis]:
    if not any(each.trainable for each in fates):
        return [_all_frozen(bench, fates)] if fates else []
    found = [_no_gradient(bench, _lost(fates), fates)] if _lost(fates) else []
    found += [_not_held(bench, _forgotten(fates))] if _forgotten(fates) else []
    found += bench.ask_rules("parameters-not-in-optimizer") if not _forgotten(fates) else []
    found += bench.ask_rules("parameters-held-twice")
    return found + _unchanged(bench, fates)


def _all_frozen(bench: Bench, fates: list[Fate]) -> Diagnosis:
    return bench.finding(
        "frozen-parameters",
        "error",
        f"None of the {len(fates)} parameters requires a gradient: nothing can be learned.",
        layers=[each.name for each in fates],
        evidence={"parameters": float(len(fates))},
        remedies=[Remedy("Set requires_grad to True at least for the last layer.")],
    )


def _placed(fates: list[Fate]) -> dict[str, Any]:
    names = [each.name for each in fates]
    return {
        "layer": names[0].rpartition(".")[0] or names[0],
        "layers": names,
        "steps": (0, STEPS - 1),
        "evidence": {"parameters": float(len(names))},
    }


def _no_gradient(bench: Bench, lost: list[Fate], fates: list[Fate]) -> Diagnosis:
    whole = any(each.parameter.ndim > 1 for each in lost)
    all_of_them = len(lost) == sum(each.trainable for each in fates)
    return bench.finding(
        "no-gradient",
        "error" if whole else "warning",
        f"No gradient reaches {'any parameter' if all_of_them else listed([each.name for each in lost])} in "
        f"{STEPS} steps: the loss does not depend on {'them' if len(lost) > 1 else 'it'}, or the graph is cut in "
        "between.",
        remedies=[
            Remedy("Look for detach(), .data, no_grad(), item() or numpy() between these layers and the loss."),
            Remedy("Take modules that forward never calls out of the model."),
        ],
        **_placed(lost),
    )


def _not_held(bench: Bench, forgotten: list[Fate]) -> Diagnosis:
    return bench.finding(
        "parameters-not-in-optimizer",
        "error",
        f"{len(forgotten)} parameters receive gradients and are in no optimizer, so they never change: "
        f"{listed([each.name for each in forgotten])}. Were layers replaced after the optimizer was made, or kept in "
        "a plain list?",
        remedies=[Remedy("Make the optimizer from model.parameters() after the model is complete.")],
        **_placed(forgotten),
    )


def _unchanged(bench: Bench, fates: list[Fate]) -> list[Diagnosis]:
    """Held, with a gradient, and not moved: the rate is zero, the gradient is zero, or the step is lost in rounding."""
    frozen = _frozen(fates)
    at_rest = [each for each in frozen if each.rate == 0]
    silent = [each for each in frozen if each.gradient == 0 and each.rate != 0]
    lost = [each for each in frozen if each.gradient and each.rate != 0]
    found = [_rate_zero(bench, at_rest)] if at_rest else []
    found += [_silent(bench, silent)] if silent else []
    return found + ([_rounded_away(bench, lost)] if lost else [])


def _rate_zero(bench: Bench, fates: list[Fate]) -> Diagnosis:
    return bench.finding(
        "learning-rate-zero",
        "error" if len(fates) > 1 else "warning",
        f"The rate of {listed([each.name for each in fates])} is 0: no step changes them.",
        remedies=[Remedy("Raise the rate of that group, or set requires_grad to False where they are to stay.")],
        **_placed(fates),
    )


def _silent(bench: Bench, fates: list[Fate]) -> Diagnosis:
    return bench.finding(
        "frozen-parameters",
        "warning",
        f"{listed([each.name for each in fates])} did not change in {STEPS} steps: the gradient that reaches them is "
        "exactly zero every time (dead units, all-zero weights behind them, or a factor of zero).",
        remedies=[
            Remedy("Look at the activations behind these layers: units that are all silent pass no gradient."),
            Remedy("Initialize the weights behind them at random."),
        ],
        **_placed(fates),
    )


def _rounded_away(bench: Bench, fates: list[Fate]) -> Diagnosis:
    rate = min(each.rate or 0.0 for each in fates)
    return bench.finding(
        "frozen-parameters",
        "warning",
        f"{listed([each.name for each in fates])} have gradients and are held by the optimizer, yet not one bit "
        f"changed in {STEPS} steps at rate {rate:g}: the steps are lost in rounding, or the optimizer does not step.",
        remedies=[Remedy("Raise the learning rate; keep the weights in float32."), Remedy("Call optimizer.step().")],
        **_placed(fates),
    )
