"""What a check does where values are no numbers: a watched training tells where the first of them is from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convdebug.checks.bench import Bench, NotFinite
from convdebug.checks.standing import Standing
from convdebug.instruments.anatomy import first_tensor
from convdebug.learner import Learner
from convdebug.rules import Facts, judge, rule_named
from convdebug.search.short_training import learner_of, rate_of, seed_all
from convdebug.target import Target
from convdebug.watch import watch
from convdebug_sessions import Diagnosis, Remedy, Session

ORIGINS = (
    "non-finite-inputs",
    "non-finite-labels",
    "non-finite-activation",
    "non-finite-gradient",
    "non-finite-update",
)
"""The rules that say where the first value comes from that is no number."""
_DENSE_STEPS = 50
_MEASURING = 0.3


def require_numbers(bench: Bench, losses: Sequence[float], batches: Sequence[Any], **how: Any) -> None:
    """NotFinite with the origin where one of the losses of a training on these batches in turn is no number.

    `how` is that of `where_from`.
    """
    bad = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is not None:
        when = "before any update" if bad == 0 or how.get("standing") else f"after {bad} updates"
        refuse(bench, f"the loss is {losses[bad]} {when}", batches, steps=bad + 1, **how)


def refuse(bench: Bench, reason: str, batches: Sequence[Any], **how: Any) -> None:
    """Raise NotFinite for this reason, with what a watched training on these batches in turn tells of it."""
    found = where_from(bench, batches, **how)
    raise NotFinite(reason, found or [_untraced(bench, reason)])


@torch.enable_grad()
def where_from(
    bench: Bench,
    batches: Sequence[Any],
    *,
    target: Target | None = None,
    steps: int = 1,
    standing: bool = False,
    lr: float | None = None,
    seed: int = 0,
) -> list[Diagnosis]:
    """What a training of so many steps, watched, tells of its first value that is no number; roots first.

    `standing` leaves the weights as they are. Empty where all values were numbers this time.
    """
    target = target or bench.target
    run = bench.recorder.start_run("trial", "where the first NaN is from", info=_info(target), parent=bench.run.id)
    model = target.build(bench.seed + seed).to(bench.device)
    learner = _standing(target, model, bench.device) if standing else learner_of(target, model, bench.device, lr)
    seed_all(bench.seed + seed)
    every = 1 if steps <= _DENSE_STEPS else None
    with watch(model, learner.optimizer, session=run, loss=target.loss, every=every, overhead_budget=_MEASURING,
               info=run.info) as watched:  # fmt: skip
        for step in range(steps):
            learner.step(batches[step % len(batches)])
            watched.step(learner.loss, accuracy=learner.right)
            if not math.isfinite(float(learner.loss)):
                break
    return told(bench, run.id)


def _info(target: Target) -> dict[str, Any]:
    return {"source": "check", "expected_initial_loss": target.expected_initial_loss, "batch_size": target.batch_size}


def _standing(target: Target, model: nn.Module, device: torch.device) -> Learner:
    rate = rate_of(target.optimizer(model)) or 1.0
    return Learner(target, model, Standing(list(model.parameters()), rate), device)


def told(bench: Bench, run: int) -> list[Diagnosis]:
    """What the record of a run says: the origin, or updates that were too large; else that the loss is lost."""
    with Session.open(bench.recorder.path) as session:
        facts = Facts(session, run)
        named = judge(facts, [rule_named(name) for name in (*ORIGINS, "learning-rate-too-high")]).diagnoses
        return named or judge(facts, [rule_named("loss-diverged")]).diagnoses


def _untraced(bench: Bench, reason: str) -> Diagnosis:
    return bench.finding(
        "loss-diverged",
        "error",
        f"In the check {reason}; a second time, watched, all values were numbers, so that the origin was not seen.",
        remedies=[Remedy("Look for a logarithm, root or division whose argument can be 0, and for random inputs.")],
    )


def require_finite_output(bench: Bench, model: nn.Module, call: Callable[[], Tensor], batch: Any, when: str) -> Tensor:
    """The output of `call`; NotFinite with the module that made the first value that is no number."""
    output = call()
    if bool(output.isfinite().all()):
        return output
    reason = f"the output is not finite {when}"
    found = where_from(bench, [batch], standing=True)
    raise NotFinite(reason, found or [_made_by(bench, _maker(model, call), reason)])


def made_in_evaluation(bench: Bench, learner: Learner, batches: Sequence[Any], reason: str) -> Diagnosis:
    """The module that made the first value that is no number when these batches were evaluated."""
    return _made_by(bench, _maker(learner.model, lambda: learner.evaluate(batches)), reason)


def _maker(model: nn.Module, call: Callable[[], Any]) -> tuple[str, str]:
    """Name and type of the first module that made a value that is no number; those inside come before their owner."""
    found: list[tuple[str, str]] = []

    def heard(module: nn.Module, name: str, output: Any) -> None:
        tensor = first_tensor(output)
        if not found and tensor is not None and not bool(tensor.isfinite().all()):
            found.append((name, type(module).__name__))

    hooks = [
        module.register_forward_hook(lambda module, _inputs, output, name=name: heard(module, name, output))
        for name, module in model.named_modules()
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ("", type(model).__name__)


def _made_by(bench: Bench, maker: tuple[str, str], reason: str) -> Diagnosis:
    name, kind = maker
    return bench.finding(
        "non-finite-activation",
        "error",
        f"{f'{name} ({kind})' if name else f'The forward of {kind}'} makes NaN or infinity out of finite values: "
        f"{reason}.",
        layer=name or None,
        layers=[name] if name else [],
        remedies=[Remedy("Keep what goes into it within the range in which it is defined.")],
    )
