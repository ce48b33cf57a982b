"""What a session is made of: runs, events, blobs, diagnoses, wishes, and the drawings of a series."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import SessionError
from .numbers import json_numbers, numbers_from_json

SEVERITIES = ("error", "warning", "info")
ENDINGS = ("finished", "stopped", "crashed")


@dataclass(frozen=True)
class Run:
    """One training, trial, check or branch. `status` is running, finished, stopped, crashed or killed."""

    id: int
    parent: int | None
    parent_step: int | None
    kind: str
    name: str
    status: str
    reason: str | None
    started: float
    ended: float | None
    steps: int
    config: dict[str, Any] | None
    info: dict[str, Any]


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, at a step where there was one; `time` in seconds since 1970."""

    id: int
    run: int
    step: int | None
    time: float
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class BlobRef:
    """Where an array (or bytes, dtype "bytes") lies and what it is; `Session.read` fetches it."""

    id: int
    run: int
    step: int
    kind: str
    name: str
    names: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What the window wants of the training: pause, continue, step, stop or set."""

    id: int
    made: float
    run: int | None
    what: str
    value: Any
    applied_step: int | None


@dataclass(frozen=True)
class Buckets:
    """A series drawn with few points: for each bucket its steps, extremes, mean, and how many values were not finite.

    A bucket without any finite value has NaN for its extremes and its mean.
    """

    first_step: np.ndarray
    last_step: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    bad: np.ndarray


@dataclass(frozen=True)
class Remedy:
    """A fix in words; `change` is what a machine can apply to the config, `proven` what that did on a branch."""

    text: str
    change: dict[str, Any] | None = None
    proven: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"text": self.text, "change": json_numbers(self.change), "proven": json_numbers(self.proven)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Remedy":
        return cls(data["text"], numbers_from_json(data.get("change")), numbers_from_json(data.get("proven")))


@dataclass(frozen=True)
class Diagnosis:
    """What is ill, where, since when, with which numbers, and what to do."""

    rule: str
    severity: str
    title: str
    message: str
    run: int
    layer: str | None = None
    first_step: int = 0
    last_step: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)
    caused_by: str | None = None
    remedies: tuple[Remedy, ...] = ()
    layers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "severity": self.severity,
            "title": self.title,
            "message": self.message,
            "run": self.run,
            "layer": self.layer,
            "first_step": self.first_step,
            "last_step": self.last_step,
            "evidence": json_numbers(self.evidence),
            "caused_by": self.caused_by,
            "remedies": [remedy.as_json() for remedy in self.remedies],
            "layers": list(self.layers),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Diagnosis":
        try:
            return cls._from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionError(f"a diagnosis is not readable: {error!r}") from error

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> "Diagnosis":
        texts = {key: str(data[key]) for key in ("rule", "severity", "title", "message")}
        return cls(
            **texts,
            run=int(data["run"]),
            layer=data.get("layer"),
            first_step=int(data.get("first_step", 0)),
            last_step=int(data.get("last_step", 0)),
            evidence=dict(numbers_from_json(data.get("evidence") or {})),
            caused_by=data.get("caused_by"),
            remedies=tuple(Remedy.from_json(remedy) for remedy in data.get("remedies") or ()),
            layers=tuple(str(layer) for layer in data.get("layers") or ()),
        )
