"""What a session says, arranged for a reader: verdict, checks, diagnoses as trees, runs with their last numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from convdebug_sessions import Diagnosis, Run, Session

_RANK = {"error": 0, "warning": 1, "info": 2}
_KINDS_OF_TRAINING = ("train", "watch", "branch")


@dataclass
class Finding:
    """A diagnosis with its consequences beneath it."""

    diagnosis: Diagnosis
    consequences: list["Finding"] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """The answer at a glance: level is good, warning, error or none."""

    level: str
    headline: str
    detail: str


@dataclass(frozen=True)
class CheckRow:
    """The last result of one check and the run that recorded it."""

    result: dict[str, Any]
    run: Run


def trainings(session: Session) -> list[Run]:
    return [run for run in session.runs if run.kind in _KINDS_OF_TRAINING]


def check_rows(session: Session) -> list[CheckRow]:
    """The last result of each check, in the order in which the checks were first made."""
    runs = {run.id: run for run in session.runs}
    rows: dict[str, CheckRow] = {}
    for event in session.events(0, kinds={"check"}):
        if isinstance(event.data.get("id"), str) and event.run in runs:
            rows[event.data["id"]] = CheckRow(event.data, runs[event.run])
    return list(rows.values())


def findings(diagnoses: Iterable[Diagnosis]) -> list[Finding]:
    """Roots in the given order, each with its consequences."""
    entries = [Finding(diagnosis) for diagnosis in diagnoses]
    roots: list[Finding] = []
    for index, entry in enumerate(entries):
        cause = _cause(entries, index)
        (roots if cause is None else cause.consequences).append(entry)
    return roots


def _cause(entries: Sequence[Finding], index: int) -> Finding | None:
    rule = entries[index].diagnosis.caused_by
    earlier = [entry for entry in entries[:index] if entry.diagnosis.rule == rule]
    return earlier[-1] if rule and earlier else None


def verdict(session: Session, rows: Sequence[CheckRow]) -> Verdict:
    """The worst of checks and diagnoses, in one headline."""
    judged = {row.run.id for row in rows}
    runs = {run.id for run in trainings(session)} | judged
    diagnoses = [d for d in session.diagnoses(0) if d.run in runs and d.severity in ("error", "warning")]
    failed = [row.result for row in rows if row.result.get("status") in ("fail", "error")]
    worst = min(diagnoses, key=lambda d: (_RANK[d.severity], d.caused_by is not None), default=None)
    detail = _counts(rows, diagnoses, len(trainings(session)))
    if worst is not None and (worst.severity == "error" or not failed):
        level = "error" if worst.severity == "error" else "warning"
        return Verdict(level, worst.title, f"{worst.message} {detail}".strip())
    if failed:
        return Verdict(
            "error", f"Check {failed[0].get('id')} failed", f"{failed[0].get('summary', '')} {detail}".strip()
        )
    crashed = [run for run in session.runs if run.status in ("crashed", "killed") and run.kind in _KINDS_OF_TRAINING]
    if crashed:
        return Verdict(
            "error",
            f"Run {crashed[-1].id} was {_past(crashed[-1].status)}",
            f"{crashed[-1].reason or ''} {detail}".strip(),
        )
    if not session.runs:
        return Verdict("none", "Nothing recorded yet", "The session holds no run.")
    return Verdict("good", "Nothing wrong was found", detail)


def _past(status: str) -> str:
    return {"crashed": "cut short by an exception", "killed": "killed"}[status]


def _counts(rows: Sequence[CheckRow], diagnoses: Sequence[Diagnosis], trained: int) -> str:
    parts = []
    if rows:
        passed = sum(row.result.get("status") in ("pass", "warn") for row in rows)
        made = sum(row.result.get("status") != "skip" for row in rows)
        parts.append(f"{passed} of {made} checks passed.")
    if trained:
        parts.append(f"{trained} training run{'s' if trained > 1 else ''} recorded.")
    if diagnoses:
        errors = sum(d.severity == "error" for d in diagnoses)
        parts.append(f"{errors} error{'s' if errors != 1 else ''}, {_warnings(len(diagnoses) - errors)}.")
    return " ".join(parts)


def _warnings(count: int) -> str:
    return f"{count} warning{'s' if count != 1 else ''}"


def last_numbers(session: Session, run: Run) -> list[tuple[str, str]]:
    """Label and value of what one asks first about a finished run."""
    entries = [("steps", f"{run.steps:,}".replace(",", " "))]
    for label, name in (("train loss", "train/loss"), ("val loss", "val/loss"),
                        ("train accuracy", "train/accuracy"), ("val accuracy", "val/accuracy")):  # fmt: skip
        value = _last(session, run, name)
        if value is not None:
            entries.append((label, _number(value, percent="accuracy" in name)))
    if run.ended and run.started:
        entries.append(("time", duration(run.ended - run.started)))
    return entries


def _last(session: Session, run: Run, name: str) -> float | None:
    if name not in session.series_names(run.id):
        return None
    pair = session.value(name, max(run.steps, 0) + 1, run.id)
    return pair[1] if pair else None


def _number(value: float, *, percent: bool) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def sweeps(session: Session, rows: Sequence[CheckRow]) -> list[tuple[Run, list[dict[str, Any]], dict[str, Any] | None]]:
    """(run, trials, suggestion) of each sweep: from its last `sweep` event, or from the check that made it."""
    runs = {run.id: run for run in session.runs}
    found = {}
    for event in session.events(0, kinds={"sweep"}):
        if isinstance(event.data.get("trials"), list) and event.run in runs:
            found[event.run] = (runs[event.run], event.data["trials"], event.data.get("suggestion"))
    return list(found.values())
