"""Patients drawn from a seed, and what each does without any watch: `python -m tests.clinic.drawn SEED`."""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import torch
from torch import Tensor

from .drawn_loop_ailments import AILMENTS
from .drawn_trainings import CLASSES, YES_OR_NO, draw
from .patient import Patient
from .regimen import Regimen, train

PREFIX = "drawn "
MOST = 3  # of one ailment in a list


@dataclass(frozen=True)
class Case:
    """A patient, what kind of labels it learns, and its training without its ailment."""

    patient: Patient
    task: str
    twin: Regimen | None
    in_principle: bool = False


@lru_cache
def cases(seed: int, sick: int = 88, healthy: int = 44) -> list[Case]:
    """The sick, then the healthy."""
    rng = Random(f"ailments {seed}")
    met = {ailment.name: 0 for ailment in AILMENTS}
    found, names = list[Case](), set[str]()
    for place in range(sick):
        left = [ailment for ailment in AILMENTS if met[ailment.name] < MOST]
        ailment = rng.choices(left, [each.often for each in left])[0]
        met[ailment.name] += 1
        own = Random(f"sick {seed} {place}")
        plan = draw(own)
        while not ailment.suits(plan):
            plan = draw(own)
        regimen, strength = ailment.afflict(plan, own)
        name = f"{PREFIX}{seed}/{ailment.name}, {plan.family}, {strength}; {plan.particulars}"
        patient = Patient(_unlike(name, names), plan.family, regimen, ailment.rules, ailment.checked_by, 4)
        found.append(Case(patient, plan.task, plan.regimen(), ailment.in_principle))
    for place in range(healthy):
        plan = draw(Random(f"healthy {seed} {place}"))
        name = f"{PREFIX}{seed}/healthy, {plan.family}, {plan.particulars}"
        found.append(Case(Patient(_unlike(name, names), plan.family, plan.regimen(), referral=4), plan.task, None))
    return found


def patients(seed: int, sick: int = 88, healthy: int = 44) -> list[Patient]:
    """The same list whenever the seed is the same."""
    return [case.patient for case in cases(seed, sick, healthy)]


def drawn_named(name: str) -> Patient:
    """The patient of that name, from the list of the seed in it."""
    seed = int(name.removeprefix(PREFIX).partition("/")[0])
    return next(patient for patient in patients(seed) if patient.name == name)


def _unlike(name: str, names: set[str]) -> str:
    different, count = name, 1
    while different in names:
        count += 1
        different = f"{name} ({count})"
    names.add(different)
    return different


@dataclass
class Course:
    """What a bare training came to; `skill` is 0 at chance and 1 where validation is told without a fault."""

    first: float = math.nan
    last: float = math.nan
    val: float = math.nan
    least_val: float = math.nan
    skill: float = math.nan
    seconds: float = 0.0
    problem: str = ""

    @property
    def is_healthy(self) -> bool:
        """It learned, does well on what it has not seen, and its validation has not turned."""
        return self.last < 0.6 * self.first and self.skill > 0.6 and self.val < 1.3 * self.least_val + 0.05

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        losses = f"{self.first:8.3g} -> {self.last:8.3g}, val {self.val:8.3g} (least {self.least_val:.3g})"
        return f"{losses}, skill {self.skill:5.2f}, {self.seconds:.1f} s"


def course(regimen: Regimen, task: str) -> Course:
    """Trains, and writes down each loss."""
    trained, validated = list[float](), list[float]()

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        found = regimen.loss(outputs, labels)
        (trained if torch.is_grad_enabled() else validated).append(float(found.detach()))
        return found

    began = time.perf_counter()
    result = Course()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = train(replace(regimen, loss=loss))
    except (RuntimeError, IndexError, ValueError) as error:
        result.problem = f"{type(error).__name__} after {len(trained)} batches"
        return result
    result.seconds = time.perf_counter() - began
    result.first, result.last = trained[0], sum(trained[-10:]) / len(trained[-10:])
    result.val, result.least_val = validated[-1], min(validated)
    result.skill = skill(regimen, model, task)
    return result


def skill(regimen: Regimen, model: torch.nn.Module, task: str) -> float:
    """Accuracy, or explained variance, above chance."""
    data = regimen.material()
    model.eval()
    with torch.no_grad():
        outputs = model(data.val_inputs).float()
    labels = data.val_labels
    if task == CLASSES:
        accuracy, chance = float((outputs.argmax(1) == labels).float().mean()), 1 / data.outputs
    elif task == YES_OR_NO:
        middle = 0.5 if float(outputs.min()) >= 0 and float(outputs.max()) <= 1 else 0.0
        accuracy, chance = float(((outputs > middle) == (labels > 0.5)).float().mean()), 0.5
    else:
        labels = labels.reshape(outputs.shape)
        return 1 - float(((outputs - labels) ** 2).mean() / labels.var())
    return (accuracy - chance) / (1 - chance)


def main() -> None:
    """Prints every patient of a seed, each sick one with its healthy twin."""
    options = argparse.ArgumentParser(prog="python -m tests.clinic.drawn", description=__doc__)
    options.add_argument("seed", type=int)
    options.add_argument("--only", default="", help="patients whose name holds this text")
    chosen = options.parse_args()
    for case in cases(chosen.seed):
        if chosen.only not in case.patient.name:
            continue
        print(case.patient.name, "|", *case.patient.rules, flush=True)
        found = course(case.patient.regimen, case.task)
        if case.twin is None:
            print(f"    healthy {found}{'' if found.is_healthy else '  POOR'}", flush=True)
            continue
        print(f"    sick    {found}", flush=True)
        twin = course(case.twin, case.task)
        as_good = found.skill > twin.skill - 0.15 and found.val < 3 * twin.val + 0.05
        alike = as_good and not case.in_principle
        print(f"    healthy {twin}{'  ALIKE' if alike else ''}{'' if twin.is_healthy else '  POOR'}", flush=True)


if __name__ == "__main__":
    main()
