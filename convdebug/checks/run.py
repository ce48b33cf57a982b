"""Runs the checks in order, each recorded as a run of its own, and sums them up."""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from convdebug.checks.bench import Bench, NotFinite, Outcome, Skipped, Tell
from convdebug.checks.order import reading_order
from convdebug.checks.table import CHECKS, Check, require
from convdebug.errors import UserError
from convdebug.rules.rule import SEVERITIES
from convdebug.search.short_training import isolated
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Recorder, RunRecorder, Session, json_numbers

BUDGET_S = 90.0
Progress = Callable[[str, int, int, str], None]
"""Called with the check's id, what is done, of how much, and a note."""


@dataclass(frozen=True)
class CheckResult:
    """What one check said; status is pass, warn, fail, skip or error."""

    id: str
    status: str
    summary: str
    measured: Mapping[str, Any]
    expected: Mapping[str, Any]
    diagnoses: Sequence[Diagnosis]
    seconds: float
    run: int

    def as_json(self) -> dict[str, Any]:
        """An entry of `check --json`."""
        return {
            "id": self.id,
            "status": self.status,
            "summary": self.summary,
            "measured": json_numbers(dict(self.measured)),
            "expected": json_numbers(dict(self.expected)),
            "diagnoses": [diagnosis.as_json() for diagnosis in self.diagnoses],
            "seconds": round(self.seconds, 3),
            "run": self.run,
        }


@dataclass
class CheckReport:
    """The results in order; `as_json` is the promise of `check --json`."""

    target: str
    session: str
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """fail if any check failed or raised, else pass."""
        return "fail" if any(check.status in ("fail", "error") for check in self.checks) else "pass"

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The diagnoses of all checks as JSON objects, roots first, each followed by its consequences.

        What several checks found is named once, as the first of those saw it that took it most seriously.
        """
        found: dict[tuple[str, str | None], Diagnosis] = {}
        for diagnosis in (each for check in self.checks for each in check.diagnoses):
            known = found.setdefault((diagnosis.rule, diagnosis.layer), diagnosis)
            if SEVERITIES.index(diagnosis.severity) < SEVERITIES.index(known.severity):
                found[diagnosis.rule, diagnosis.layer] = diagnosis
        ordered = reading_order(list(found.values()))
        return [diagnosis.as_json() for diagnosis in ordered]

    def as_json(self) -> dict[str, Any]:
        """The document of `convdebug check --json`."""
        return {
            "target": self.target,
            "session": self.session,
            "verdict": self.verdict,
            "checks": [check.as_json() for check in self.checks],
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

    `on_progress(check id, done, total, text)` is called as they go, `on_result(its JSON object)` after each. Random
    state and the user's objects are left as they were: every check builds its own model. What raises while the
    target is built is passed on.
    """
    chosen = chosen_checks(only, skip)
    with isolated():
        target.build(0)
    report = CheckReport(target.name, str(recorder.path))
    ends = time.perf_counter() + (BUDGET_S if budget_s is None else budget_s)
    for index, check in enumerate(chosen):
        shares = sum(other.share for other in chosen[index:])
        seconds = max(0.5, (ends - time.perf_counter()) * check.share / shares)
        run = recorder.start_run("check", check.id, config=_config(target), info=_info(target, device))
        bench = Bench(target, recorder, run, seconds=seconds, device=device, on_progress=_named(on_progress, check.id))
        report.checks.append(_recorded(check, bench, report.checks))
        if on_result is not None:
            on_result(report.checks[-1].as_json())
    return report


def chosen_checks(only: Sequence[str] | None, skip: Sequence[str] | None) -> list[Check]:
    """The checks named by `only` without those of `skip`, in the order of the list."""
    for name in [*(only or ()), *(skip or ())]:
        require(name)
    chosen = [check for check in CHECKS if (only is None or check.id in only) and check.id not in (skip or ())]
    if not chosen:
        raise UserError(f"no check is left; there are {', '.join(check.id for check in CHECKS)}")
    return chosen


def _named(on_progress: Progress | None, check: str) -> Tell | None:
    if on_progress is None:
        return None
    return lambda done, total, text: on_progress(check, done, total, text)


def _recorded(check: Check, bench: Bench, before: Sequence[CheckResult]) -> CheckResult:
    with _finished(bench.run):
        result = _judged(check, bench, before)
        bench.run.event("check", None, **result.as_json())
        bench.run.flush()
    with Session.open(bench.recorder.path) as session:
        session.write_diagnoses(bench.run.id, result.diagnoses)
    return result


@contextlib.contextmanager
def _finished(run: RunRecorder) -> Iterator[None]:
    try:
        yield
    except BaseException:
        run.finish("stopped", "interrupted")
        raise
    run.finish()


def _judged(check: Check, bench: Bench, before: Sequence[CheckResult]) -> CheckResult:
    missing = [other.id for other in before if other.id in check.needs and other.status in ("fail", "error")]
    if missing:
        return _result(check, bench, "skip", Outcome(f"skipped, because the check {missing[0]} failed"))
    try:
        with isolated():
            outcome = check.run(bench)
    except Skipped as reason:
        return _result(check, bench, "skip", Outcome(f"skipped: {reason}"))
    except NotFinite as found:
        return _not_finite(check, bench, before, found)
    except UserError as error:
        return _result(check, bench, "error", Outcome(_one_line(str(error))))
    except Exception as error:
        bench.run.event("crash", None, type=type(error).__name__, message=str(error), traceback=traceback.format_exc())
        return _result(check, bench, "error", Outcome(f"{type(error).__name__}: {_one_line(str(error))}"))
    return _result(check, bench, outcome.status, outcome)


def _not_finite(check: Check, bench: Bench, before: Sequence[CheckResult], found: NotFinite) -> CheckResult:
    """A failure with its origin; skipped where an earlier check has named the same origin."""
    root = found.diagnoses[0].rule
    named = [other.id for other in before if any(diagnosis.rule == root for diagnosis in other.diagnoses)]
    if named:
        reason = f"skipped, because {found}; the check {named[0]} says where that comes from"
        return _result(check, bench, "skip", Outcome(reason))
    outcome = Outcome(f"{found}, so there is nothing to judge", diagnoses=found.diagnoses)
    return _result(check, bench, outcome.status, outcome)


def _result(check: Check, bench: Bench, status: str, outcome: Outcome) -> CheckResult:
    own = [replace(diagnosis, run=bench.run.id) for diagnosis in outcome.diagnoses]
    return CheckResult(
        check.id, status, outcome.summary, outcome.measured, outcome.expected, own, bench.elapsed, bench.run.id
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:299] + "…"


def _config(target: Target) -> dict[str, Any] | None:
    return target.config.model_dump() if target.config is not None else None


def _info(target: Target, device: str) -> dict[str, Any]:
    return {
        "target": target.name,
        "device": device,
        "batch_size": target.batch_size,
        "num_classes": target.num_classes,
        "seed": 0,
    }
