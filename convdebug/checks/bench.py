"""What a check works with: the target, a recorded run, a time limit, and the words of the rules for what it finds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convdebug.checks.chart import Chart
from convdebug.devices import choose_device
from convdebug.rules import RULES, Facts, rule_named
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Recorder, Remedy, RunRecorder, Session

Tell = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and a note."""

RANK = {"error": 0, "warning": 1, "info": 2}
STATUS = {"error": "fail", "warning": "warn", "info": "pass"}
_TITLES = {rule.name: rule.title for rule in RULES}


class Skipped(Exception):
    """The check does not apply to this target; the text is the reason."""


class NotFinite(Exception):
    """Values are no numbers, so the check cannot judge; the text is what it saw, `diagnoses` where that comes from."""

    def __init__(self, reason: str, diagnoses: "Sequence[Diagnosis]") -> None:
        super().__init__(reason)
        self.diagnoses = diagnoses


@dataclass(frozen=True)
class Outcome:
    """What a check hands back: one sentence with numbers, the numbers, what was expected, and what it found."""

    summary: str
    measured: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)
    diagnoses: Sequence[Diagnosis] = ()

    @property
    def status(self) -> str:
        """pass, warn or fail by the worst diagnosis."""
        worst = min((d.severity for d in self.diagnoses), key=RANK.__getitem__, default="info")
        return STATUS[worst]


class Bench:
    """One check at work on one target: it records under its own run and knows when its time is up."""

    def __init__(
        self,
        target: Target,
        recorder: Recorder,
        run: RunRecorder,
        *,
        seconds: float,
        device: str = "cpu",
        seed: int = 0,
        on_progress: Tell | None = None,
    ) -> None:
        self.target, self.recorder, self.run = target, recorder, run
        self.seconds, self.seed = seconds, seed
        self.device = choose_device(device)
        self._on_progress = on_progress
        self._began, self._told = time.perf_counter(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the check began."""
        return time.perf_counter() - self._began

    @property
    def time_left(self) -> float:
        """Seconds of its share of the budget that are left; negative when it is overdrawn."""
        return self.seconds - self.elapsed

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell whoever watches, ten times a second at most."""
        now = time.perf_counter()
        if done < total and now - self._told < 0.1:
            return
        self._told = now
        self.run.event("progress", None, done=done, total=total, text=text)
        if self._on_progress is not None:
            self._on_progress(done, total, text)

    def draw(self, chart: Chart) -> None:
        """Keep the picture of this check; the last one counts."""
        self.run.event("chart", None, **chart.as_json())

    def ask_rules(self, *names: str) -> list[Diagnosis]:
        """What these rules say about everything that the check has recorded so far."""
        self.run.flush()
        with Session.open(self.recorder.path) as session:
            facts = Facts(session, self.run.id)
            pairs = [(rule, rule.judge(facts)) for rule in map(rule_named, names)]
        return [rule.diagnosis(finding, self.run.id) for rule, finding in pairs if finding is not None]

    def finding(
        self,
        rule: str,
        severity: str,
        message: str,
        *,
        layer: str | None = None,
        layers: Sequence[str] = (),
        steps: tuple[int, int] = (0, 0),
        evidence: Mapping[str, float] | None = None,
        caused_by: str | None = None,
        remedies: Sequence[Remedy] = (),
    ) -> Diagnosis:
        """A diagnosis under the rule's own name and title, placed in the run of this check."""
        return Diagnosis(
            rule=rule,
            severity=severity,
            title=title_of(rule),
            message=message,
            run=self.run.id,
            layer=layer,
            first_step=steps[0],
            last_step=steps[1],
            evidence=dict(evidence or {}),
            caused_by=caused_by,
            remedies=tuple(remedies),
            layers=tuple(layers),
        )


def title_of(rule: str) -> str:
    """The rule's title; rules that only checks can see are named after themselves."""
    return _TITLES.get(rule, rule.replace("-", " ").capitalize())
