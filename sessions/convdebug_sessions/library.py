"""The sessions of a folder, each in a line: what ran, how far it came, and whether something was wrong."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import SessionError
from .facts import SEVERITIES, Run
from .session import Session

CURVE_POINTS = 64


@dataclass(frozen=True)
class Summary:
    """One session of a folder; `problem` says why a file could not be read, `modified` is in seconds since 1970."""

    path: Path
    modified: float
    runs: int = 0
    status: str = ""
    steps: int = 0
    final_loss: float | None = None
    curve: tuple[float, ...] = ()
    severity: str | None = None
    problem: str | None = None


def default_folder() -> Path:
    """Where sessions are kept unless a file is named: CONVDEBUG_SESSIONS, else a folder of the user's data."""
    named = os.environ.get("CONVDEBUG_SESSIONS")
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".local" / "share"
    return Path(data) / "convdebug" / "sessions"


def library(folder: str | os.PathLike[str]) -> list[Summary]:
    """The sessions of a folder, the newest first."""
    place = Path(folder)
    try:
        found = [path for path in place.iterdir() if path.suffix == ".convdebug" and path.is_file()]
    except OSError as error:
        raise SessionError(f"{place} is not a folder that can be read: {error.strerror}") from error
    summaries = [summary_of(path) for path in found]
    return sorted(summaries, key=lambda each: (-each.modified, each.path))


def summary_of(path: Path) -> Summary:
    """One session in a line; a broken one becomes a line with its problem."""
    modified = path.stat().st_mtime
    try:
        with Session.open(path) as session:
            return _summary(session, path, modified)
    except SessionError as error:
        return Summary(path, modified, problem=str(error))


def _summary(session: Session, path: Path, modified: float) -> Summary:
    runs = session.runs
    if not runs:
        return Summary(path, modified, problem=f"{path} holds no run")
    run = session.run()
    loss, curve = _loss(session, run)
    found = {diagnosis.severity for diagnosis in session.diagnoses(run.id)}
    worst = next((severity for severity in SEVERITIES if severity in found), None)
    return Summary(path, modified, len(runs), run.status, run.steps, loss, curve, worst)


def _loss(session: Session, run: Run) -> tuple[float | None, tuple[float, ...]]:
    if "train/loss" not in session.series_names(run.id):
        return None, ()
    final = session.value("train/loss", 2**62, run.id)
    mean = session.buckets("train/loss", run.id, points=CURVE_POINTS - 1).mean
    return (None if final is None else final[1]), tuple(np.asarray(mean, float).tolist())
