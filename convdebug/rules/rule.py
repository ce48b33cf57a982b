"""What a rule is, and what it hands back when it has found its ailment."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convdebug_sessions import Diagnosis, Remedy

if TYPE_CHECKING:
    from convdebug.rules.facts import Facts

GROUPS = (
    "data",
    "implementation",
    "initialization",
    "updates",
    "activations and gradients",
    "generalisation",
    "throughput",
)
SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """What one rule saw in one run; `layer` is the worst of `layers`, the steps are those of the evidence."""

    severity: str
    message: str
    first_step: int = 0
    last_step: int = 0
    layer: str | None = None
    layers: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One ailment: its fixed headings for people, and the function that sees it in the facts of a run."""

    name: str
    title: str
    group: str
    severities: tuple[str, ...]
    meaning: str
    causes: str
    remedies: str
    source: str
    judge: "Callable[[Facts], Finding | None]"

    def as_json(self) -> dict[str, Any]:
        """The row of `describe --json`; `severity` lists what the rule may say, worst first."""
        return {
            "name": self.name,
            "title": self.title,
            "group": self.group,
            "severity": list(self.severities),
            "meaning": self.meaning,
            "causes": self.causes,
            "remedies": self.remedies,
            "source": self.source,
        }

    def diagnosis(self, finding: Finding, run: int) -> Diagnosis:
        """The finding as a diagnosis of that run, its cause still open."""
        return Diagnosis(
            rule=self.name,
            severity=finding.severity,
            title=self.title,
            message=finding.message,
            run=run,
            layer=finding.layer,
            first_step=finding.first_step,
            last_step=finding.last_step,
            evidence=dict(finding.evidence),
            remedies=finding.remedies,
            layers=finding.layers,
        )


def known(**numbers: float) -> dict[str, float]:
    """Evidence without the numbers that nobody recorded (NaN)."""
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def worst(severities: Sequence[str]) -> str:
    """The worst of some severities."""
    return min(severities, key=SEVERITIES.index)
