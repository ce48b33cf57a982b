"""Every rule over the facts of a run; a rule that fails is named and left out, the others still speak."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from convdebug.rules.causes import arranged
from convdebug.rules.facts import Facts
from convdebug.rules.listing import RULES
from convdebug.rules.rule import Rule
from convdebug_sessions import Diagnosis, Run, Session

JUDGED = ("train", "watch")  # trials, proofs and checks are ill on purpose


@dataclass(frozen=True)
class Verdict:
    """The diagnoses of one run in reading order, and a line for each rule that failed."""

    diagnoses: list[Diagnosis]
    failures: dict[str, str]


def judge(facts: Facts, rules: Sequence[Rule] = tuple(RULES)) -> Verdict:
    """Ask every rule."""
    found: list[Diagnosis] = []
    failures: dict[str, str] = {}
    for rule in rules:
        try:
            finding = rule.judge(facts)
        except Exception as problem:  # whatever a rule stumbles over must not silence the others
            failures[rule.name] = f"rule {rule.name} failed: {type(problem).__name__}: {problem}"
            continue
        if finding is not None:
            found.append(rule.diagnosis(finding, facts.run.id))
    return Verdict(arranged(found, {rule.name: rule.group for rule in rules}), failures)


def diagnose(session: Session, run: int | None = None) -> list[Diagnosis]:
    """What is wrong in a session, roots first and each followed by its consequences; run after run.

    Without `run`, every training and watched run is judged; a session of checks alone tells what its checks found.
    """
    judged = [session.run(run)] if run is not None else judged_runs(session)
    found: list[Diagnosis] = []
    for each in judged:
        verdict = judge(Facts(session, each.id))
        found += verdict.diagnoses
        for line in verdict.failures.values():
            print(f"convdebug: {line}", file=sys.stderr)
    return found if judged else found_by_checks(session)


def judged_runs(session: Session) -> list[Run]:
    """The runs that a diagnosis without `--run` speaks of."""
    return [run for run in session.runs if run.kind in JUDGED]


def found_by_checks(session: Session) -> list[Diagnosis]:
    """The diagnoses that checks recorded with their verdicts."""
    events = session.events(run=0, kinds=["check"])
    return [Diagnosis.from_json(each) for event in events for each in event.data.get("diagnoses", [])]
