"""Runs the checks in order, each recorded as a run of its own, and sums them up."""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convdebug.checks import CHECKS, Check
from convdebug.checks.bench import RANK, Bench, Outcome, Skipped
from convdebug.search.learner import isolated
from convdebug.errors import UserError, nearest
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Recorder, RunRecorder, Session

BUDGET_S = 90.0
Progress = Callable[[str, int, int, str], None]


@dataclass
class CheckReport:
    """The results in order; `as_json` is the promise of `check --json`."""

    target: str
    session: str
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """fail if any check failed or raised, else pass."""
        return "fail" if any(check["status"] in ("fail", "error") for check in self.checks) else "pass"

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """All diagnoses, worst first, in the order of the checks."""
        every = [diagnosis for check in self.checks for diagnosis in check["diagnoses"]]
        return sorted(every, key=lambda diagnosis: RANK[diagnosis["severity"]])

    def as_json(self) -> dict[str, Any]:
        """The document of `convdebug check --json`."""
        return {
            "target": self.target,
            "session": self.session,
            "verdict": self.verdict,
            "checks": self.checks,
            "diagnoses": self.diagnoses,
        }


def run_checks(
    target: Target,
    recorder: Recorder,
    *,
    only: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    budget_s: float | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    on_result: Callable[[dict[str, Any]], None] | None = None,
) -> CheckReport:
    """Run the chosen checks within about `budget_s` seconds together; UserError for a check that does not exist.

    `on_progress(check id, done, total, text)` is called as they go, `on_result` with each result. Random state and the user's objects are
    left as they were: every check builds its own model.
    """
    chosen = chosen_checks(only, skip)
    report = CheckReport(target.name, str(recorder.path))
    ends = time.perf_counter() + (BUDGET_S if budget_s is None else budget_s)
    for index, check in enumerate(chosen):
        shares = sum(other.share for other in chosen[index:])
        seconds = max(0.5, (ends - time.perf_counter()) * check.share / shares)
        report.checks.append(_one(check, target, recorder, report, seconds, device, on_progress))
        if on_result is not None:
            on_result(report.checks[-1])
    return report


def chosen_checks(only: Sequence[str] | None, skip: Sequence[str] | None) -> list[Check]:
    """The checks named by `only` without those of `skip`, in the order of the list."""
    known = [check.id for check in CHECKS]
    for name in [*(only or ()), *(skip or ())]:
        if name not in known:
            raise UserError(f"there is no check {name!r}{nearest(name, known)}")
    return [check for check in CHECKS if (not only or check.id in only) and check.id not in (skip or ())]


def _one(
    check: Check,
    target: Target,
    recorder: Recorder,
    report: CheckReport,
    seconds: float,
    device: str,
    on_progress: Progress | None,
) -> dict[str, Any]:
    tell = None if on_progress is None else lambda done, total, text: on_progress(check.id, done, total, text)
    run = recorder.start_run("check", check.id, config=_config(target), info={"target": target.name, "device": device})
    bench = Bench(target, recorder, run, seconds=seconds, device=device, seed=0, on_progress=tell)
    with _finished(run):
        status, outcome = _judged(check, bench, report)
        result = _result(check, status, outcome, bench.elapsed)
        run.event("check", None, **result)
        run.flush()
    _write_opinions(recorder, run.id, outcome.diagnoses)
    return result


@contextlib.contextmanager
def _finished(run: RunRecorder) -> Iterator[None]:
    try:
        yield
    except BaseException:
        run.finish("stopped", "interrupted")
        raise
    run.finish()


def _judged(check: Check, bench: Bench, report: CheckReport) -> tuple[str, Outcome]:
    missing = [other["id"] for other in report.checks if other["id"] in check.needs and other["status"] in ("fail", "error")]
    if missing:
        return "skip", Outcome(f"skipped, because the check {missing[0]} failed")
    try:
        with isolated():
            outcome = check.run(bench)
    except Skipped as reason:
        return "skip", Outcome(f"skipped: {reason}")
    except Exception as error:
        bench.run.event("crash", None, type=type(error).__name__, message=str(error), traceback=traceback.format_exc())
        return "error", Outcome(f"{type(error).__name__}: {_one_line(str(error))}")
    return outcome.status, outcome


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:299] + "…"


def _result(check: Check, status: str, outcome: Outcome, seconds: float) -> dict[str, Any]:
    return {
        "id": check.id,
        "status": status,
        "summary": outcome.summary,
        "measured": dict(outcome.measured),
        "expected": dict(outcome.expected),
        "diagnoses": [diagnosis.as_json() for diagnosis in outcome.diagnoses],
        "seconds": round(seconds, 3),
    }


def _config(target: Target) -> dict[str, Any] | None:
    config: Mapping[str, Any] | None = target.config.model_dump() if target.config is not None else None
    return dict(config) if config is not None else None


def _write_opinions(recorder: Recorder, run: int, diagnoses: Sequence[Diagnosis]) -> None:
    with Session.open(recorder.path) as session:
        session.write_diagnoses(run, diagnoses)
