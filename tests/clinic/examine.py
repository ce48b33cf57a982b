"""Brings a patient to the rules by its way and says what they found, and after how many steps."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from convdebug.checks.run import run_checks
from convdebug.errors import TargetError
from convdebug.rules import RULES, Facts, diagnose, judge
from convdebug.rules.judgement import judged_runs
from convdebug.target import Target
from convdebug.train import Plan
from convdebug.train import train as train_target
from convdebug.watch import watch
from convdebug_sessions import Diagnosis, Recorder, Session

from . import regimen as loops
from .patient import Patient
from .regimen import Regimen

ROOT = Path(__file__).parents[2]
LOOK_EVERY = 8
LEARNED = 0.92
"""A healthy patient's loss falls below this share of its first, or the case itself is wrong."""


@dataclass(frozen=True)
class Result:
    """What the rules said of a patient; `right_after` is the step of the first look that named its ailment."""

    name: str
    family: str
    half: str
    way: str
    rules: tuple[str, ...]
    found: list[tuple[str, str, str | None]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    right_after: int | None = None
    learned: bool = True
    seconds: float = 0.0
    problem: str = ""
    referral: int = 0

    @property
    def alarms(self) -> list[str]:
        """Rules that spoke of an error or a warning, in their order."""
        return [rule for rule, severity, _ in self.found if severity != "info"]

    @property
    def detected(self) -> bool:
        return bool(self.alarms) or self.right

    @property
    def right(self) -> bool:
        return any(rule in self.rules for rule, _, _ in self.found)

    @property
    def right_first(self) -> bool:
        first = next((rule for rule, severity, _ in self.found if severity != "info"), None)
        first = first or next((rule for rule, _, _ in self.found), None)
        return first in self.rules

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(patient: Patient, folder: Path) -> Result:
    """Train the patient, recorded, and ask every rule."""
    path = folder / f"{abs(hash(patient.name))}.convdebug"
    begun = time.perf_counter()
    looks = Looks(path, patient.rules)
    problem = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            WAYS[patient.way](patient, path, looks)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    result = Result(
        patient.name,
        patient.family,
        patient.half,
        patient.way,
        patient.rules,
        problem=problem,
        referral=patient.referral,
    )
    if not path.exists():
        return replace(result, problem=problem or "no session was left")
    with Session.open(path) as session:
        found = diagnose(session)
        learned = bool(patient.rules) or has_learned(session)
        if not problem and not session.runs and not found:
            problem = "no run was left"
    return replace(
        result,
        found=[(each.rule, each.severity, each.caused_by) for each in found],
        messages=[each.message for each in found],
        right_after=looks.right_after,
        learned=learned,
        seconds=time.perf_counter() - begun,
    )


def has_learned(session: Session) -> bool:
    """Whether the training loss of the first judged run fell clearly."""
    runs = judged_runs(session)
    if not runs or "train/loss" not in session.series_names(runs[0].id):
        return False
    _, loss = session.series("train/loss", runs[0].id)
    tail = loss[-max(1, len(loss) // 8) :]
    return bool(len(loss)) and float(tail.mean()) < LEARNED * float(loss[0])


class Looks:
    """Asks the rules while the training goes on, as the live rules do."""

    def __init__(self, path: Path, rules: tuple[str, ...]) -> None:
        self.path, self.rules = path, rules
        self.right_after: int | None = None
        self._facts: Facts | None = None
        self._session: Session | None = None

    def after(self, step: int) -> None:
        """One step is over; every eighth is looked at until the ailment has been named."""
        if self.right_after is not None or not self.rules or (step + 1) % LOOK_EVERY:
            return
        if self._session is None:
            self._session = Session.open(self.path)
        self._session.refresh()
        runs = judged_runs(self._session)
        if not runs:
            return
        if self._facts is None:
            self._facts = Facts(self._session, runs[-1].id)
        else:
            self._facts.update()
        if any(each.rule in self.rules for each in judge(self._facts, RULES).diagnoses):
            self.right_after = step + 1

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """The pictures of a patient, slow or augmented where its loop is."""

    def __init__(self, inputs: Tensor, labels: Tensor, regimen: Regimen) -> None:
        self.inputs, self.labels, self.regimen = inputs, labels, regimen

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.regimen.pause_s:
            time.sleep(self.regimen.pause_s / self.regimen.batch)
        return self.regimen.augment(self.inputs[index]), self.labels[index]


def as_target(regimen: Regimen) -> Target:
    """The patient as `convdebug train --target` would get it."""
    data = regimen.material()
    plain = regimen.augment is loops.same and not regimen.pause_s
    examples = (data.inputs, data.labels) if plain else Examples(data.inputs, data.labels, regimen)
    scheduler = {"make_scheduler": regimen.schedule} if regimen.schedule is not None else {}

    def make_optimizer(parameters: Any) -> Optimizer:
        return regimen.optimizer(regimen.trained(Parameters(list(parameters), made[-1])))

    made: list[nn.Module] = []

    def make_model() -> nn.Module:
        made.append(regimen.model(data))
        return made[-1]

    return Target(
        make_model=make_model,
        train_data=examples,
        val_data=(data.val_inputs, data.val_labels) if regimen.evaluate else None,
        make_optimizer=make_optimizer,
        loss=regimen.loss if regimen.scores is loops.same else regimen.objective,
        batch_size=regimen.batch * regimen.accumulate,
        shuffle=regimen.shuffle,
        train_step=own_step(regimen) if has_own_step(regimen) else None,
        **scheduler,
    )


class Parameters:
    """The parameters that a target hands to `make_optimizer`, chosen from as from the model they are of."""

    def __init__(self, parameters: list[nn.Parameter], model: nn.Module) -> None:
        self._parameters, self._model = parameters, model

    def parameters(self) -> list[nn.Parameter]:
        return self._parameters

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_model"], name) if name[:2] != "__" else object.__getattribute__(self, name)


def has_own_step(regimen: Regimen) -> bool:
    """Whether the loop differs from the usual one by more than the parts of a Target say."""
    usual = regimen.zero and regimen.update and regimen.training_mode and regimen.accumulate == 1
    return not usual or regimen.clip is not None or regimen.half


def own_step(regimen: Regimen) -> Any:
    """The patient's loop as a `train_step`; accumulation splits the batch into those that others fetch one by one."""

    def train_step(model: nn.Module, batch: Any, _loss: Any, optimizer: Optimizer) -> Tensor:
        inputs, labels = batch
        model.train(regimen.training_mode)
        if regimen.zero:
            optimizer.zero_grad()
        parts = regimen.accumulate
        total = torch.zeros(())
        for some, theirs in zip(inputs.chunk(parts), labels.chunk(parts), strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=regimen.half):
                loss = regimen.objective(model(some), theirs) / parts
            loss.backward()
            total = total + loss.detach()
        if regimen.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), regimen.clip)
        if regimen.update:
            optimizer.step()
        return total

    return train_step


def by_target(patient: Patient, path: Path, looks: Looks) -> None:
    """`convdebug train` with a target; where only a check shows the ailment, that before."""
    target = as_target(patient.regimen).complete()
    with Recorder.create(path, overwrite=True) as recorder, contextlib.suppress(TargetError):
        if patient.checked_by is not None:
            run_checks(target, recorder, only=[patient.checked_by], budget_s=5)
        plan = Plan(steps=patient.regimen.steps, device="cpu")
        train_target(target, recorder, plan, on_step=lambda done, _total: looks.after(done - 1))
    looks.close()


def by_watch(patient: Patient, path: Path, looks: Looks) -> None:
    """Two lines in the patient's own loop."""

    def watching(model: nn.Module, optimizer: Optimizer) -> Any:
        watched = watch(model, optimizer, session=path)
        told = watched.step

        def step(*args: Any, **kwargs: Any) -> None:
            told(*args, **kwargs)
            looks.after(watched.number - 1)

        watched.step = step  # type: ignore[method-assign]
        return watched

    with contextlib.suppress(IndexError):
        loops.train(patient.regimen, watching)
    looks.close()


def by_run(patient: Patient, path: Path, looks: Looks) -> None:
    """`convdebug run` of a script that knows nothing of it."""
    script = [str(Path(__file__).with_name("script.py")), patient.name]
    command = [sys.executable, "-m", "convdebug", "run", "--session", str(path), *script]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gui"), str(ROOT / "sessions")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    if not path.exists():
        raise RuntimeError(f"convdebug run ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


WAYS = {"target": by_target, "watch": by_watch, "run": by_run}


def diagnoses_in_words(found: list[Diagnosis]) -> str:
    """For a reader of the table."""
    return ", ".join(f"{each.rule} ({each.severity})" for each in found)
