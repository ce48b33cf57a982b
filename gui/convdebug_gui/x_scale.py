"""Steps, epochs or wall time along x: the way from one to the other and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convdebug_gui.curves import means
from convdebug_gui.facts import Facts

KINDS = ("steps", "epochs", "time")


@dataclass(frozen=True)
class XScale:
    """Maps steps to what stands on the x axis. `times`: seconds at `steps`, for kind `time`."""

    kind: str = "steps"
    steps_per_epoch: float = 1.0
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0))
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def x(self, steps: np.ndarray | float) -> np.ndarray:
        if self.kind == "epochs":
            return np.asarray(steps, float) / self.steps_per_epoch
        if self.kind == "time":
            return np.interp(steps, self.steps, self.times)
        return np.asarray(steps, float)

    def step(self, x: float) -> float:
        if self.kind == "epochs":
            return x * self.steps_per_epoch
        return float(np.interp(x, self.times, self.steps)) if self.kind == "time" else x

    @property
    def axis_kind(self) -> str:
        return {"steps": "steps", "epochs": "linear", "time": "time"}[self.kind]


def x_scale(facts: Facts, kind: str) -> XScale:
    """The scale of a kind, steps where the run does not tell what it needs."""
    if kind == "epochs" and facts.info.get("steps_per_epoch"):
        return XScale("epochs", float(facts.info["steps_per_epoch"]))
    if kind == "time" and "time/wall" in facts.names:
        curve = means(facts.buckets("time/wall", points=512))
        known = np.isfinite(curve.values)
        if known.sum() >= 2:
            return XScale("time", 1.0, curve.steps[known], np.maximum.accumulate(curve.values[known]))
    return XScale()
