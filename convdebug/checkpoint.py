"""Checkpoints of a run: when to keep one, which to forget, and how to go on from one with the same numbers."""

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convdebug.errors import UserError
from convdebug.packing import pack, unpack
from convdebug_sessions import Run, RunRecorder, Session

LATEST_KEPT = 3
SPACING_STEPS = 100
LARGEST_SHARE = 0.02
"""A checkpoint comes at the earliest when the time since the last one is this many times (1 / share) what it cost."""


@dataclass
class Place:
    """Where a training is: steps made, epoch, batches seen in this epoch, and the batch size now in force."""

    batch_size: int
    step: int = 0
    epoch: int = 0
    batches: int = 0


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint to go on from, and the run that it was kept in."""

    run: Run
    step: int
    state: dict[str, Any]

    @classmethod
    def last_of(cls, path: Path, run: int | None = None) -> "ResumePoint":
        """The last checkpoint of a session's last training (or of the run named).

        Raises:
            SessionError: the file is no session.
            UserError: it holds no checkpoint.
        """
        with Session.open(path) as session:
            trainings = [each for each in session.runs if each.kind == "train" or each.id == run]
            chosen = session.run(run) if run is not None or not trainings else trainings[-1]
            kept = session.blobs("checkpoint", run=chosen.id)
            if not kept:
                raise UserError(f"{path}: run {chosen.id} holds no checkpoint to resume from")
            return cls(chosen, kept[-1].step, unpack(bytes(session.read(kept[-1]))))


class Keeper:
    """Keeps checkpoints of one run: step 0, one per epoch, and the last three in between."""

    def __init__(self, run: RunRecorder, parts: Mapping[str, Any]) -> None:
        self._run = run
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self._latest: list[int] = []
        self._kept_step = -1
        self._kept_time = 0.0
        self._cost_s = 0.0

    def due(self, place: Place) -> bool:
        """Whether enough steps have passed, and enough time that a checkpoint costs next to nothing."""
        passed = time.monotonic() - self._kept_time
        return place.step - self._kept_step >= SPACING_STEPS and passed * LARGEST_SHARE >= self._cost_s

    def keep(self, place: Place, reason: str) -> None:
        """Keep a checkpoint; `latest` ones make room for newer ones, those of the start and of epochs stay."""
        if place.step == self._kept_step:
            self._latest = [step for step in self._latest if step != place.step or reason == "latest"]
            return
        started = time.monotonic()
        state = {name: part.state_dict() for name, part in self._parts.items()}
        data = pack(state | {"place": asdict(place), "random": random_state()})
        self._run.blob("checkpoint", place.step, data, name="step", epoch=place.epoch, reason=reason)
        self._run.event("checkpoint", place.step, epoch=place.epoch, reason=reason)
        self._make_room(place.step, reason)
        self._kept_step, self._kept_time = place.step, time.monotonic()
        self._cost_s = self._kept_time - started

    def restore(self, point: ResumePoint, place: Place) -> None:
        """Put model, optimizer, scheduler and place back; the random state comes last, by `restore_random_state`."""
        for name, part in self._parts.items():
            if name not in point.state:
                raise UserError(
                    f"the checkpoint of step {point.step} has no {name}; resume with the settings it was made with"
                )
            _load(part, point.state[name], name, point.step)
        for name, value in point.state["place"].items():
            setattr(place, name, value)
        self._kept_step, self._kept_time = place.step, time.monotonic()

    def _make_room(self, step: int, reason: str) -> None:
        if reason != "latest":
            return
        self._latest.append(step)
        self._run.forget_blobs("checkpoint", self._latest[:-LATEST_KEPT])
        del self._latest[:-LATEST_KEPT]


def random_state() -> dict[str, Any]:
    """The state of every generator that a training may draw from: Python, numpy, torch, and CUDA where it is in use."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).astype(np.int64), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put every generator back to where `random_state` found it."""
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _load(part: Any, state: Any, name: str, step: int) -> None:
    try:
        part.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError) as problem:
        first_line = str(problem).splitlines()[0]
        raise UserError(f"the checkpoint of step {step} does not fit this {name}: {first_line}") from problem
