"""Can the network learn the same 20 examples by heart, with every source of noise off?"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from convdebug.batches import split_batch, to_device
from convdebug.checks.bench import Bench, Outcome
from convdebug.checks.learning_ability import why_nothing_is_learned
from convdebug.checks.not_finite import ORIGINS, require_numbers, where_from
from convdebug.learner import Learner
from convdebug.search.short_training import accuracy_of, learner_of, rate_of, seed_all
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Remedy

EXAMPLES = 20
STEPS = 1000
COST = 0.01
OF_THE_SPREAD = 0.02
"""Where numbers are to be predicted: the cost that is wanted, against that of answering their mean every time."""
PLAIN_RATES = (1e-3, 1e-2, 1e-1)
_BLOWN = 3.0
_TOO_LOW = 0.01
_STILL = 150


@dataclass
class Attempt:
    """One training on the 20 examples; costs and accuracies are those before each update."""

    name: str
    lr: float | None
    wanted: float = COST
    costs: list[float] = field(default_factory=list)
    accuracies: list[float | None] = field(default_factory=list)
    time_up: bool = False

    @property
    def reached(self) -> bool:
        """Cost below what is wanted and every example right (where there are classes)."""
        return bool(self.costs) and self.costs[-1] < self.wanted and self.accuracies[-1] in (None, 1.0)

    @property
    def lost(self) -> bool:
        """The last cost is no number."""
        return not math.isfinite(self.costs[-1])

    @property
    def diverged(self) -> bool:
        """Not finite, or for good above three times the first cost."""
        return self.lost or self.costs[-1] > _BLOWN * max(abs(self.costs[0]), self.wanted)

    @property
    def cost(self) -> float:
        """The last cost, infinite where it is not a number."""
        return math.inf if self.lost else self.costs[-1]

    @property
    def standing_still(self) -> bool:
        """Whether the last steps changed nothing at all."""
        recent = self.costs[-_STILL:]
        return len(recent) == _STILL and max(recent) - min(recent) <= 1e-7 * abs(recent[0])

    @property
    def on_its_way(self) -> bool:
        """Every example is right, little cost is left, it still fell, and only the clock ended it."""
        done = self.accuracies[-1] == 1.0 and self.costs[-1] < 0.1 * abs(self.costs[0])
        falls = self.costs[-1] < 0.9 * self.costs[len(self.costs) * 2 // 3]
        return self.time_up and not self.reached and done and falls

    def as_json(self) -> dict[str, Any]:
        """For the measured numbers."""
        return {
            "optimizer": self.name,
            "lr": self.lr,
            "steps": len(self.costs) - 1,
            "first_cost": self.costs[0],
            "cost": self.costs[-1],
            "wanted": self.wanted,
            "accuracy": self.accuracies[-1],
            "reached": self.reached,
        }


def run(bench: Bench) -> Outcome:
    """The target's own optimizer first, then plain SGD at three rates; the verdict by numbers."""
    target = bench.target.without_regularization()
    batch = to_device(target.training_data_sample(EXAMPLES), bench.device)
    attempts: list[Attempt] = []
    wanted = wanted_cost(target, batch)
    for learner, attempt, seconds in _attempts(bench, target):
        attempt.wanted = wanted
        attempts.append(attempt)
        _learn(bench, learner, attempt, batch, sum(len(one.costs) for one in attempts), seconds)
        if attempt.reached:
            break
    best = next((one for one in attempts if one.reached), min(attempts, key=lambda one: one.cost))
    if all(one.lost for one in attempts):
        require_numbers(bench, attempts[0].costs, [batch], target=target)
    measured = best.as_json() | {"attempts": [one.as_json() for one in attempts], "kept": list(target.kept)}
    diagnoses = _origin(bench, target, attempts, batch) or _diagnoses(bench, target, attempts, best, batch)
    return Outcome(_summary(best, batch, target), measured, {"cost": wanted, "accuracy": 1.0}, diagnoses)


def _origin(bench: Bench, target: Target, attempts: list[Attempt], batch: Any) -> list[Diagnosis]:
    """Where the own optimizer comes to NaN and another does not, it need not be the rate: what was seen to make it."""
    own = attempts[0]
    if not own.lost:
        return []
    found = where_from(bench, [batch], target=target, steps=len(own.costs))
    return found if found and found[0].rule in ORIGINS else []


def wanted_cost(target: Target, batch: Any) -> float:
    """0.01; a share of their spread where the labels are numbers, whatever their unit."""
    labels = split_batch(batch)[1]
    if (
        not isinstance(labels, torch.Tensor)
        or not labels.is_floating_point()
        or target.expected_initial_loss is not None
    ):
        return COST
    if bool(((labels >= 0) & (labels <= 1)).all()):
        return COST
    try:
        spread = float(target.data_loss(labels.mean(0, keepdim=True).expand_as(labels), labels))
    except Exception:
        return COST  # a loss that takes something else than numbers like the labels
    return OF_THE_SPREAD * spread if math.isfinite(spread) and spread > 0 else COST


def _attempts(bench: Bench, target: Target) -> Iterator[tuple[Learner, Attempt, float]]:
    """Fresh weights for each; the first may take half of the time, the others share the rest."""
    own = learner_of(target, target.build(bench.seed), bench.device)
    yield own, Attempt(f"own {type(own.optimizer).__name__}", rate_of(own.optimizer)), 0.5 * bench.seconds
    if target.train_step is not None:
        return
    for index, lr in enumerate(PLAIN_RATES):
        model = target.build(bench.seed)
        learner = Learner(target, model.to(bench.device), _plain_sgd(model, lr), bench.device)
        yield learner, Attempt("SGD", lr), bench.time_left / (len(PLAIN_RATES) - index)


def _plain_sgd(model: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=lr)


def _learn(bench: Bench, learner: Learner, attempt: Attempt, batch: Any, first: int, seconds: float) -> None:
    """Up to 1000 updates on the one batch, ended early by success, divergence, standstill or the clock."""
    seed_all(bench.seed)
    group = bench.run.group(("train/loss", "train/accuracy", "train/lr"))
    bench.run.event("note", first, text=f"{attempt.name}, rate {attempt.lr}")
    ends = time.perf_counter() + max(seconds, 0.5)
    while len(attempt.costs) <= STEPS:
        _step(learner, attempt, batch)
        accuracy = attempt.accuracies[-1]
        row = (attempt.costs[-1], math.nan if accuracy is None else accuracy, attempt.lr or 0.0)
        group.append(first + len(attempt.costs) - 1, row)
        bench.progress(len(attempt.costs), STEPS, f"{attempt.name}: cost {attempt.costs[-1]:.4g}")
        over = attempt.reached or attempt.standing_still or not math.isfinite(attempt.costs[-1])
        attempt.time_up = time.perf_counter() > ends
        if over or _for_good(attempt) or attempt.time_up:
            break


def _step(learner: Learner, attempt: Attempt, batch: Any) -> None:
    learner.step(batch)
    attempt.costs.append(float(learner.loss))
    attempt.accuracies.append(accuracy_of(learner))


def _for_good(attempt: Attempt) -> bool:
    limit = 10 * _BLOWN * max(abs(attempt.costs[0]), attempt.wanted)
    return len(attempt.costs) > 20 and min(attempt.costs[-20:]) > limit


def _summary(best: Attempt, batch: Any, target: Target) -> str:
    labels = split_batch(batch)[1]
    count = len(labels) if isinstance(labels, torch.Tensor) else EXAMPLES
    accuracy = best.accuracies[-1]
    right = "" if accuracy is None else f" with accuracy {accuracy:.2f}"
    rate = "" if best.lr is None else f" at rate {best.lr:g}"
    text = f"cost {best.costs[-1]:.4g}{right} on the same {count} examples after {len(best.costs) - 1} updates"
    text = f"{text} ({best.name}{rate}; it began at {best.costs[0]:.4g})"
    if best.on_its_way:
        text = f"{text}; the time for this check was up while the cost still fell"
    return text + (f"; could not be turned off: {', '.join(target.kept)}" if target.kept else "")


def _diagnoses(bench: Bench, target: Target, attempts: list[Attempt], best: Attempt, batch: Any) -> list[Diagnosis]:
    own = attempts[0]
    if best.on_its_way:
        return []
    if not best.reached:
        return _not_learned(bench, target, attempts, best, batch)
    if best is own:
        return []
    if own.diverged:
        return [_own_too_high(bench, own, best)]
    return [_own_too_low(bench, own, best)] if _hardly_moved(own) else []


def _hardly_moved(own: Attempt) -> bool:
    return own.costs[0] - own.costs[-1] < _TOO_LOW * abs(own.costs[0])


def _change(bench: Bench, best: Attempt) -> dict[str, Any] | None:
    config = bench.target.config
    plain = config is not None and config.optimizer.name in ("sgd", "momentum", "nesterov")
    return {"optimizer.lr": best.lr} if plain else None


def _own_too_high(bench: Bench, own: Attempt, best: Attempt) -> Diagnosis:
    return bench.finding(
        "learning-rate-too-high",
        "error",
        f"On 20 examples, {own.name} at {own.lr:.3g} takes the cost from {own.costs[0]:.4g} to {own.costs[-1]:.4g} in "
        f"{len(own.costs) - 1} updates; plain SGD at {best.lr:g} learns the same examples by heart.",
        steps=(0, len(own.costs) - 1),
        evidence={"learning_rate": own.lr or math.nan, "first_loss": own.costs[0], "last_loss": own.costs[-1]},
        remedies=[Remedy(f"Lower the learning rate; SGD at {best.lr:g} works here.", _change(bench, best))],
    )


def _own_too_low(bench: Bench, own: Attempt, best: Attempt) -> Diagnosis:
    return bench.finding(
        "learning-rate-too-low",
        "warning",
        f"On 20 examples, {own.name} at {own.lr:.3g} leaves the cost at {own.costs[-1]:.4f} after {len(own.costs) - 1} "
        f"updates (it began at {own.costs[0]:.4f}); plain SGD at {best.lr:g} learns them by heart.",
        steps=(0, len(own.costs) - 1),
        evidence={"learning_rate": own.lr or math.nan, "first_loss": own.costs[0], "last_loss": own.costs[-1]},
        remedies=[Remedy(f"Raise the learning rate; SGD at {best.lr:g} works here.", _change(bench, best))],
    )


def _not_learned(bench: Bench, target: Target, attempts: list[Attempt], best: Attempt, batch: Any) -> list[Diagnosis]:
    causes = why_nothing_is_learned(bench, target, batch)
    tried = ", ".join(f"{one.name} at {one.lr:g}: {one.costs[-1]:.3g}" for one in attempts if one.lr is not None)
    learned = best.accuracies[-1] == 1.0 and best.cost < 0.1 * abs(best.costs[0])
    rule = "loss-not-decreasing" if _hardly_moved(best) else "loss-plateau"
    message = (
        f"The same {EXAMPLES} examples are not learned by heart: the lowest cost is {best.costs[-1]:.4g} (it began at "
        f"{best.costs[0]:.4g}, {best.wanted:.3g} is wanted) after {len(best.costs) - 1} updates without "
        f"regularization. {tried}."
    )
    finding = bench.finding(
        rule,
        "warning" if learned and not causes else "error",
        message,
        steps=(0, max(len(one.costs) for one in attempts)),
        evidence={"cost": best.costs[-1], "first_cost": best.costs[0], "wanted": best.wanted},
        caused_by=causes[0].rule if causes else None,
        remedies=_remedies(learned),
    )
    return [*causes, finding]


def _remedies(learned: bool) -> list[Remedy]:
    if learned:
        return [Remedy("It is on the way: raise the learning rate, or give the check more time.")]
    return [
        Remedy("Check that inputs and labels belong together, and that the loss gets what it expects."),
        Remedy("Check that gradients reach every layer and that the optimizer holds the model's parameters."),
        Remedy("Give the network more units: it must be able to hold 20 examples."),
    ]
