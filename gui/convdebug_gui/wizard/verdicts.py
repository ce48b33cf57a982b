"""How the checks of a session stand: read from its runs and events, in the order of the wizard; no widgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convdebug_sessions import Run, Session

DONE = ("pass", "warn", "fail", "skip", "error")
WORDS = {
    "pending": "not run yet",
    "waiting": "in the queue",
    "running": "running",
    "pass": "passed",
    "warn": "passed with a warning",
    "fail": "failed",
    "skip": "skipped",
    "error": "could not be run",
    "stopped": "stopped before its end",
}


@dataclass(frozen=True)
class CheckInfo:
    """What the engine says of a check."""

    id: str
    title: str
    asks: str
    why: str
    source: str = ""


@dataclass(frozen=True)
class CheckState:
    """How one check stands; `result` is the engine's JSON object of it, `run` its last run."""

    id: str
    status: str = "pending"
    result: Mapping[str, Any] = field(default_factory=dict)
    run: int | None = None
    done: float = 0
    total: float | None = None
    text: str = ""

    @property
    def finished(self) -> bool:
        return self.status in DONE

    @property
    def summary(self) -> str:
        return str(self.result.get("summary", ""))


def infos(description: Mapping[str, Any]) -> list[CheckInfo]:
    """The checks of `describe`, in their order."""
    names = ("id", "title", "asks", "why", "source")
    return [CheckInfo(**{name: str(entry.get(name, "")) for name in names}) for entry in description.get("checks", ())]


def states(session: Session | None, ids: Iterable[str], queued: Sequence[str] = ()) -> dict[str, CheckState]:
    """The state of each check by its last run; those in the queue wait."""
    found = {id: CheckState(id, "waiting" if id in queued else "pending") for id in ids}
    if session is None:
        return found
    for run in session.runs:
        if run.kind == "check" and run.name in found:
            found[run.name] = state_of(session, run)
    return found


def state_of(session: Session, run: Run) -> CheckState:
    """One run of a check: its verdict where it has one, else how far it is."""
    verdicts = session.events(run.id, {"check"})
    if verdicts:
        result = verdicts[-1].data
        return CheckState(run.name, str(result.get("status", "error")), result, run.id)
    if run.status != "running":
        return CheckState(run.name, "stopped", {"summary": run.reason or ""}, run.id)
    told = session.events(run.id, {"progress"})
    last = told[-1].data if told else {}
    return CheckState(
        run.name,
        "running",
        {},
        run.id,
        last.get("done", 0),
        last.get("total"),
        str(last.get("text") or ""),
    )


def tally(found: Iterable[CheckState]) -> dict[str, int]:
    """How many stand how."""
    counts: dict[str, int] = {}
    for state in found:
        counts[state.status] = counts.get(state.status, 0) + 1
    return counts


def verdict_words(found: Sequence[CheckState]) -> tuple[str, str]:
    """The verdict over all checks as a status and a sentence."""
    counts = tally(found)
    done = sum(counts.get(status, 0) for status in DONE)
    bad = counts.get("fail", 0) + counts.get("error", 0)
    if not done:
        return "pending", "No check has been run yet."
    if bad:
        return "fail", f"{_checks(bad)} failed: begin with the first, it often explains the others."
    rest = len(found) - done
    tail = f" {_checks(rest)} not run yet." if rest else ""
    if counts.get("warn"):
        return "warn", f"Nothing failed, {_checks(counts['warn'])} with a warning.{tail}"
    if rest:
        return "pass", f"Nothing failed so far.{tail}"
    skipped = counts.get("skip")
    passed = f"{_checks(counts.get('pass', 0))} passed, {skipped} skipped" if skipped else "Every check passed"
    return "pass", f"{passed}: this is ready to train."


def _checks(count: int) -> str:
    return f"{count} check" if count == 1 else f"{count} checks"


def figures(numbers: Mapping[str, Any]) -> dict[str, str]:
    """The single numbers and words among measured or expected values, as they are shown."""
    return {key.replace("_", " "): words for key, value in numbers.items() if (words := _figure(value))}


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u2009")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value if len(value) <= 60 else ""
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, int | float) for part in value):
        return f"{_figure(value[0])} … {_figure(value[1])}"
    return ""
