"""Runs a user's script bare and under `convdebug run`, compares what it left, and reads what the session tells."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convdebug.diagnose import diagnose_session
from convdebug_sessions import Diagnosis, Session

from .corpus import Script

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 300
WEIGHTS = (".pt", ".pth", ".bin")
NUMBER = re.compile(r"-?\d+\.\d+ ?%?|\d+%")
PRINTED_LINES = 6
TIMED = re.compile(r"([\d.]+) ms per step")


@dataclass(frozen=True)
class Ended:
    """How a script ended and what it left: exit code, output, and its saved tensors by file and name."""

    exit_code: int
    stdout: str
    stderr: str
    weights: dict[str, bytes]

    @property
    def ms_per_step(self) -> float | None:
        """What the script itself measured around its training steps."""
        found = TIMED.search(self.stderr)
        return float(found.group(1)) if found else None


@dataclass(frozen=True)
class Seen:
    """What a session tells of a script."""

    loss: bool
    validation: bool
    steps: int
    statuses: tuple[str, ...]
    diagnoses: tuple[Diagnosis, ...]
    notes: tuple[str, ...]
    last: dict[str, float] = field(default_factory=dict)
    """The last value of each `val/` series, in the last run that has it."""

    @property
    def alarms(self) -> tuple[Diagnosis, ...]:
        """Errors and warnings in reading order."""
        return tuple(each for each in self.diagnoses if each.severity != "info")

    @property
    def first(self) -> str:
        """The rule of the first error or warning; empty if there is none."""
        return self.alarms[0].rule if self.alarms else ""


NOTHING_SEEN = Seen(False, False, 0, (), (), ())


def prepared(script: Script, folder: Path) -> Path:
    """A folder with a copy of the script in which it can run."""
    folder.mkdir(parents=True)
    if script.source.is_file():
        shutil.copy(script.source, folder)
    else:
        shutil.copytree(script.source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def environment() -> dict[str, str]:
    """One thread, and this checkout's convdebug."""
    places = [str(ROOT), str(ROOT / "gui"), str(ROOT / "sessions"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def run_bare(script: Script, folder: Path) -> Ended:
    """The script as its user starts it, in a fresh copy."""
    return _ended([sys.executable, *script.command], prepared(script, folder))


def run_watched(script: Script, folder: Path, session: Path) -> Ended:
    """The same under `convdebug run`."""
    return run_command(script.command, prepared(script, folder), session)


def run_command(command: list[str], folder: Path, session: Path) -> Ended:
    """Whatever follows `convdebug run`, recorded in `session`, in a folder that is ready."""
    return _ended([sys.executable, "-m", "convdebug", "run", "--session", str(session), *command], folder)


def _ended(command: list[str], folder: Path) -> Ended:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr, saved_weights(folder))


def saved_weights(folder: Path) -> dict[str, bytes]:
    """Every tensor that lies in a file of weights below `folder`: `file/name` → its bytes with dtype and shape."""
    import torch

    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in WEIGHTS):
        content = torch.load(path, weights_only=True)
        for name, tensor in _tensors(content, str(path.relative_to(folder))):
            array = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
            found[name] = f"{tensor.dtype}{tuple(tensor.shape)}".encode() + array.tobytes()
    return found


def _tensors(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    if hasattr(content, "detach"):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _tensors(value, f"{name}/{key}")
    elif isinstance(content, (list, tuple)):
        for index, value in enumerate(content):
            yield from _tensors(value, f"{name}/{index}")


def differences(bare: Ended, watched: Ended, expected_exit_code: int = 0) -> list[str]:
    """What watching changed, in words; empty if nothing."""
    found = []
    if bare.exit_code != expected_exit_code:
        found.append(f"bare exit code {bare.exit_code}, expected {expected_exit_code}: {_last_line(bare.stderr)}")
    if watched.exit_code != bare.exit_code:
        found.append(f"exit code {watched.exit_code} instead of {bare.exit_code}: {_last_line(watched.stderr)}")
    if watched.stdout != bare.stdout:
        found.append(f"stdout differs: {_first_difference(bare.stdout, watched.stdout)}")
    if not bare.weights:
        found.append("the bare script saved no weights")
    if watched.weights != bare.weights:
        names = [name for name in bare.weights | watched.weights if bare.weights.get(name) != watched.weights.get(name)]
        found.append(f"{len(names)} of {len(bare.weights)} saved tensors differ, first {names[0]}")
    return found


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing on stderr")


def _first_difference(bare: str, watched: str) -> str:
    before, after = bare.splitlines(), watched.splitlines()
    for one, other in zip(before, after, strict=False):
        if one != other:
            return f"{other!r} instead of {one!r}"
    return f"{len(after)} lines instead of {len(before)}"


def read_session(path: Path) -> Seen:
    """What the session holds, over all its runs; diagnoses are derived from its facts."""
    if not path.exists():
        return NOTHING_SEEN
    with Session.open(path) as session:
        runs = session.runs
        names = {run.id: session.series_names(run.id) for run in runs}
        losses = [_share_finite(session, run.id) for run in runs if "train/loss" in names[run.id]]
        validation = any(name in ("val/loss", "val/accuracy") for each in names.values() for name in each)
        return Seen(
            loss=any(share > 0.5 for share in losses),
            validation=validation,
            steps=sum(run.steps for run in runs),
            statuses=tuple(run.status for run in runs),
            diagnoses=tuple(diagnose_session(session)),
            notes=tuple(event.data.get("text", "") for event in session.events(run=0, kinds=("note",))),
            last={
                name: float(session.series(name, run)[1][-1])
                for run, each in names.items()
                for name in each
                if name.startswith("val/")
            },
        )


def _share_finite(session: Session, run: int) -> float:
    _, values = session.series("train/loss", run)
    return float(np.isfinite(values).mean()) if len(values) else 0.0


def misread(script: Script, seen: Seen, stdout: str) -> list[str]:
    """Recorded numbers that the script itself printed otherwise, in its last lines."""
    printed = NUMBER.findall(" ".join(stdout.splitlines()[-PRINTED_LINES:]))
    return [
        f"{name} is recorded as {seen.last[name]:.5f}, and the script printed no such number at its end"
        for name in script.prints
        if name in seen.last and not any(_rounds_to(seen.last[name], text) for text in printed)
    ]


def _rounds_to(value: float, text: str) -> bool:
    """A printed number, or a printed percentage, is the value rounded to the digits that were printed."""
    number, scale = text.rstrip("% "), 100.0 if text.endswith("%") else 1.0
    unit = 10.0 ** -len(number.partition(".")[2])
    return abs(value * scale - float(number)) <= 0.51 * unit + 1e-6


def missing(script: Script, seen: Seen) -> list[str]:
    """What a healthy script's session should tell and does not, or tells and should not."""
    found = [f"no {each} found" for each in script.sees if not getattr(seen, each)]
    found += [f"{each.severity} {each.rule}: {each.message}" for each in seen.alarms]
    wanted = "stopped" if script.exit_code else "finished"
    if set(seen.statuses) != {wanted}:
        found.append(f"runs ended as {', '.join(seen.statuses) or 'nothing'}")
    return found
