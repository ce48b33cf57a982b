"""Is the loss on real inputs better than on blank ones after a short training?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor

from convdebug.batches import LABEL_KEYS, split_batch
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.learning_ability import varies
from convdebug.checks.not_finite import require_numbers
from convdebug.checks.probing import mapped, scores_of, tensors_in
from convdebug.learner import Learner
from convdebug.search.short_training import held_batches, learner_of, rate_of, seed_all
from convdebug.target import Target

EXAMPLES = 64
BATCH = 32
STEPS = 200
LEAST_STEPS = 40
BETTER = 0.9
"""Of the loss on blank inputs: below, the network has plainly used what it sees, and the training ends."""
MOVED = 0.99
_ADAM_RATE = 1e-3


@dataclass
class Pair:
    """Two trainings that differ in their inputs alone; the losses are those before each update."""

    optimizer: str
    batches: int
    real: list[float] = field(default_factory=list)
    blank: list[float] = field(default_factory=list)
    output_varies: bool | None = None

    @property
    def last(self) -> tuple[float, float]:
        """The last losses (real, blank), over every batch at least once."""
        width = self.batches * max(1, round(4 / self.batches))
        return _level(self.real[-width:]), _level(self.blank[-width:])

    @property
    def better(self) -> bool:
        """Whether the real inputs have led clearly further down."""
        real, blank = self.last
        return not self.lost and real < blank - (1 - BETTER) * abs(blank)

    @property
    def lost(self) -> bool:
        """Whether a loss was no number."""
        return not all(map(math.isfinite, (*self.real, *self.blank)))

    @property
    def learned(self) -> bool:
        """Whether either training has moved its loss down."""
        first = min(_level(self.real[: self.batches]), _level(self.blank[: self.batches]))
        return min(self.last) < first - (1 - MOVED) * abs(first)


def run(bench: Bench) -> Outcome:
    """The target's own optimizer first; Adam where that learns nothing from either."""
    target = bench.target.without_regularization()
    batches = _batches(bench, target)
    blank = _blank_batches(bench, target, batches)
    pairs: list[Pair] = []
    for make, seconds in _attempts(bench, target):
        pairs.append(_train(bench, target, make, batches, blank, seconds))
        if pairs[-1].better or pairs[-1].output_varies is False:
            break
    best = _best(pairs)
    _draw(bench, best)
    require_numbers(bench, best.real, batches, target=target)
    if best.lost:
        raise Skipped("a training on blank inputs comes to losses that are no numbers, so there is nothing to compare")
    real, empty = best.last
    _require_progress(best, real, empty)
    _tell(bench, best)
    measured = {
        "real": real,
        "blank": empty,
        "first": best.real[0],
        "steps": len(best.real),
        "optimizer": best.optimizer,
    }
    return Outcome(_summary(best), measured, {"real": BETTER * empty}, bench.ask_rules("input-ignored"))


def _best(pairs: Sequence[Pair]) -> Pair:
    sound = [each for each in pairs if not each.lost]
    better = [each for each in sound if each.better] or [each for each in sound if each.learned]
    return (better or sound[::-1] or list(pairs))[0]


def _require_progress(pair: Pair, real: float, blank: float) -> None:
    if pair.better or pair.output_varies is False:
        return
    if not pair.learned:
        raise Skipped(
            f"neither real nor blank inputs bring the loss down in {len(pair.real)} steps ({real:.4g} and "
            f"{blank:.4g}); overfit-20 and lr-sweep ask why"
        )
    if len(pair.real) < LEAST_STEPS:
        raise Skipped(
            f"the time allowed only {len(pair.real)} steps, after which the loss is {real:.4g} with the real inputs "
            f"and {blank:.4g} with blank ones; give the checks more time (--budget)"
        )


def _level(losses: Sequence[float]) -> float:
    finite = [each for each in losses if math.isfinite(each)]
    return sum(finite) / len(finite) if finite else math.inf


def _batches(bench: Bench, target: Target) -> list[Any]:
    """A few batches that both trainings see again and again."""
    size = min(target.batch_size or 1, BATCH)
    batches = held_batches(target, max(1, EXAMPLES // size), bench.device, batch_size=size)
    if not batches:
        raise Skipped("the training data give no batch")
    inputs, labels = split_batch(batches[0])
    if labels is None:
        raise Skipped("the batches hold no labels beside the inputs, so blank inputs would be another task")
    if not tensors_in(inputs):
        raise Skipped("the inputs hold no tensor")
    return batches


def _blank_batches(bench: Bench, target: Target, batches: Sequence[Any]) -> list[Any]:
    """Blank ones; where the network makes NaN of those (it divides by their deviation), the first example for all."""
    blank = [with_blank_inputs(batch) for batch in batches]
    if _gives_numbers(bench, target, blank[0]) or not _gives_numbers(bench, target, batches[0]):
        return blank
    return [with_blank_inputs(batch, first_for_all) for batch in batches]


def _gives_numbers(bench: Bench, target: Target, batch: Any) -> bool:
    """Whether the answer of fresh weights is finite; taken to be so where the model cannot be called on a batch."""
    model = target.build(bench.seed).to(bench.device).train()
    try:
        with torch.no_grad():
            return bool(scores_of(bench, model, split_batch(batch)[0]).isfinite().all())
    except Skipped:
        return True


def blanked(value: Tensor) -> Tensor:
    """Real numbers become 0; whole numbers and truth values (tokens, lengths, masks) those of the first example."""
    return torch.zeros_like(value) if value.is_floating_point() else first_for_all(value)


def first_for_all(value: Tensor) -> Tensor:
    """What the first example is given, for each of them."""
    return value[:1].expand_as(value).clone() if value.ndim else value


def with_blank_inputs(batch: Any, blank: Callable[[Tensor], Tensor] = blanked) -> Any:
    """The same batch and labels with every input blank."""
    if isinstance(batch, Mapping):
        label = next((key for key in LABEL_KEYS if key in batch), None)
        return {key: each if key == label else mapped(each, blank) for key, each in batch.items()}
    empty = [mapped(each, blank) for each in batch[:-1]] + [batch[-1]]
    return type(batch)(*empty) if hasattr(batch, "_fields") else type(batch)(empty)


def _attempts(bench: Bench, target: Target) -> list[tuple[dict[str, Any], float]]:
    """What `learner_of` is given for each attempt, and its share of the time."""
    if target.train_step is not None:
        return [({}, 0.9)]
    return [({}, 0.45), ({"adam": _ADAM_RATE}, 0.45)]


def _learner(bench: Bench, target: Target, how: dict[str, Any]) -> Learner:
    model = target.build(bench.seed)
    if "adam" not in how:
        return learner_of(target, model, bench.device)
    moving = [each for each in model.parameters() if each.requires_grad]
    return Learner(target, model.to(bench.device).train(), torch.optim.Adam(moving, lr=how["adam"]), bench.device)


def _train(bench: Bench, target: Target, how: dict[str, Any], real: list[Any], blank: list[Any], share: float) -> Pair:
    """Both trainings step by step side by side, so that the clock stops them at the same place."""
    learners = [_learner(bench, target, how) for _ in range(2)]
    optimizer = learners[0].optimizer
    pair = Pair(f"{type(optimizer).__name__} at rate {rate_of(optimizer)}", len(real))
    began = bench.elapsed
    for step in count():
        for learner, batches, losses in zip(learners, (real, blank), (pair.real, pair.blank), strict=True):
            seed_all(bench.seed + step)
            learner.step(batches[step % len(batches)])
            losses.append(float(learner.loss))
        bench.progress(
            step + 1, STEPS, f"{pair.optimizer}: {pair.real[-1]:.4g} with inputs, {pair.blank[-1]:.4g} without"
        )
        over = step + 1 >= STEPS or bench.elapsed - began > share * bench.seconds
        if over or (step + 1 >= LEAST_STEPS and pair.better) or not math.isfinite(pair.real[-1]):
            break
    pair.output_varies = _varies(bench, learners[0], real[0])
    return pair


def _varies(bench: Bench, learner: Learner, batch: Any) -> bool | None:
    """Whether the output of the network that learned from real inputs differs between examples; None if unknown."""
    try:
        with torch.no_grad():
            scores = scores_of(bench, learner.model.eval(), split_batch(batch)[0])
    except Skipped:
        return None
    if scores.ndim == 0 or len(scores) < 2 or not bool(scores.isfinite().all()):
        return None
    return varies(scores)


def _tell(bench: Bench, pair: Pair) -> None:
    """What the rule judges."""
    real, blank = pair.last
    bench.run.event(
        "input-independence", 0, real=real, blank=blank, first=pair.real[0], steps=len(pair.real),
        varies=pair.output_varies, optimizer=pair.optimizer,
    )  # fmt: skip


def _draw(bench: Bench, pair: Pair) -> None:
    group = bench.run.group(("train/loss", "loss/blank"))
    for step, row in enumerate(zip(pair.real, pair.blank, strict=True)):
        group.append(step, row)
    bench.draw(Chart("loss", {"blank inputs": pair.blank, "real inputs": pair.real}, "step",
                     x=range(len(pair.real)), log_y=_wide(pair)))  # fmt: skip


def _wide(pair: Pair) -> bool:
    every = [each for each in (*pair.real, *pair.blank) if math.isfinite(each)]
    return bool(every) and min(every) > 0 and max(every) > 20 * min(every)


def _summary(pair: Pair) -> str:
    real, blank = pair.last
    return (
        f"after {len(pair.real)} steps ({pair.optimizer}) the loss is {real:.4g} with the real inputs and "
        f"{blank:.4g} with blank ones; it began at {pair.real[0]:.4g}"
    )
