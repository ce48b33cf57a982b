"""Diagnosing a saved session, and following a growing one until its runs have ended."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convdebug.rules.facts import Facts
from convdebug.rules.judgement import diagnose, judge, judged_runs
from convdebug.rules.listing import RULES
from convdebug.rules.rule import SEVERITIES
from convdebug_sessions import Diagnosis, Session

INTERVAL_S = 0.5
LARGEST_SHARE = 0.25  # of one core; the pause between two readings grows with what a reading costs

diagnose_session = diagnose


class Follower:
    """The opinions on a growing session: judges what has grown, writes what has changed."""

    def __init__(self, session: Session, stop_on: str | None = None) -> None:
        self.session = session
        self.stop_on = stop_on
        self.failed: dict[str, str] = {}
        self._facts: dict[int, Facts] = {}
        self._written: dict[int, list[dict[str, Any]]] = {}
        self._asked_to_stop: set[int] = set()
        self._ended: set[int] = set()

    def look(self) -> bool:
        """Judge every run that may have grown; False once all have ended and been judged for the last time."""
        live = self.session.live
        self.session.refresh()
        for run in judged_runs(self.session):
            if run.id not in self._ended:
                self._judge(run.id)
                if run.status != "running":
                    self._ended.add(run.id)
        return live

    def _judge(self, run: int) -> None:
        facts = self._facts.get(run)
        if facts is None:
            facts = self._facts[run] = Facts(self.session, run)
        else:
            facts.update()
        verdict = judge(facts, [rule for rule in RULES if rule.name not in self.failed])
        for name, line in verdict.failures.items():
            self.failed[name] = line
            print(f"convdebug: {line}; it is left out from here on", file=sys.stderr)
        self._write(run, verdict.diagnoses)
        self._stop(run, verdict.diagnoses)

    def _write(self, run: int, diagnoses: list[Diagnosis]) -> None:
        as_json = [each.as_json() for each in diagnoses]
        if as_json != self._written.get(run, []):
            self.session.write_diagnoses(run, diagnoses)
            self._written[run] = as_json

    def _stop(self, run: int, diagnoses: list[Diagnosis]) -> None:
        if self.stop_on is None or run in self._asked_to_stop:
            return
        counted = SEVERITIES[: SEVERITIES.index(self.stop_on) + 1]
        if any(each.severity in counted for each in diagnoses):
            self._asked_to_stop.add(run)
            self.session.wish("stop", run=run)


def follow(
    path: str | Path,
    interval_s: float = INTERVAL_S,
    stop_on: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Diagnosis]:
    """Diagnose a growing session until its writer is gone; the last opinions are those of a later `diagnose`.

    With `stop_on` ("error" or "warning") the run is asked to stop at the first diagnosis of that severity or worse.
    """
    with Session.open(path) as session:
        follower = Follower(session, stop_on)
        while True:
            begun = time.thread_time()
            if not follower.look():
                return session.diagnoses(run=0)
            sleep(max(interval_s, (time.thread_time() - begun) / LARGEST_SHARE))
