"""What the top bar reads from a growing session: how far, how fast, how long still, what watching costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convdebug_sessions import Run, Session, SessionError

WINDOW_STEPS = 200
LIVE_KEYS = ("optimizer.lr", "optimizer.momentum", "optimizer.weight_decay", "data.batch_size")


@dataclass(frozen=True)
class Reading:
    """The state of a run at a glance; None where it is not known."""

    device: str = ""
    step: int = 0
    planned: int | None = None
    epoch: float | None = None
    epochs: int | None = None
    images_per_s: float | None = None
    overhead: float | None = None
    seconds_left: float | None = None
    paused: bool = False

    @property
    def share(self) -> float | None:
        return min(1.0, self.step / self.planned) if self.planned else None


def read(session: Session, run: Run, values: dict[str, Any]) -> Reading:
    """The reading of a run; `values` are the live values in force, the batch size among them."""
    info = run.info
    planned, per_epoch = info.get("steps_planned"), info.get("steps_per_epoch")
    pace = step_seconds(session, run)
    batch = values.get("data.batch_size") or info.get("batch_size")
    return Reading(
        device=str(info.get("device") or ""),
        step=run.steps,
        planned=planned,
        epoch=run.steps / per_epoch if per_epoch else None,
        epochs=round(planned / per_epoch) if planned and per_epoch and planned >= per_epoch else None,
        images_per_s=batch / pace if pace and batch else None,
        overhead=watch_share(session, run),
        seconds_left=(planned - run.steps) * pace if planned and pace else None,
        paused=is_paused(session, run),
    )


def step_seconds(session: Session, run: Run) -> float | None:
    """The usual time from step to step of late, in seconds; pauses and validations do not count."""
    walls = _recent(session, run, "time/wall")
    gaps = np.diff(walls)
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    return float(np.mean(gaps[gaps <= 5 * np.median(gaps)])) if len(gaps) else None


def watch_share(session: Session, run: Run) -> float | None:
    """The share of a step's time that watching takes, of late."""
    watched, pace = _recent(session, run, "time/watch"), step_seconds(session, run)
    finite = watched[np.isfinite(watched)]
    return float(finite.mean()) / pace if len(finite) and pace else None


def _recent(session: Session, run: Run, name: str) -> np.ndarray:
    try:
        return session.series(name, run.id, max(0, run.steps - WINDOW_STEPS), run.steps)[1]
    except SessionError:
        return np.empty(0)  # this run does not measure it


def is_paused(session: Session, run: Run) -> bool:
    """Whether the last word about it was that the run is paused."""
    words = session.events(run.id, {"paused", "continued"})
    return run.status == "running" and bool(words) and words[-1].kind == "paused"


def live_values(session: Session, run: Run) -> dict[str, Any]:
    """The values in force of what may change live: the run's own, then what was changed since."""
    info, config = run.info, _flat(run.config or {})
    optimizer = info.get("optimizer") or {}
    values = {
        "optimizer.lr": optimizer.get("lr", config.get("optimizer.lr")),
        "optimizer.momentum": optimizer.get("momentum", config.get("optimizer.momentum")),
        "optimizer.weight_decay": optimizer.get("weight_decay", config.get("optimizer.weight_decay")),
        "data.batch_size": info.get("batch_size", config.get("data.batch_size")),
    }
    for event in session.events(run.id, {"change"}):
        if event.data.get("key") in values:
            values[event.data["key"]] = event.data.get("new")
    rate = session.value("train/lr", run.steps, run.id) if "train/lr" in session.series_names(run.id) else None
    if rate is not None and np.isfinite(rate[1]):
        values["optimizer.lr"] = float(f"{rate[1]:.3g}")
    return values


def wished_values(session: Session, run: Run) -> dict[str, Any]:
    """What a person changed while the run went on, at its last value; what a schedule does is left out."""
    events = session.events(run.id, {"change"})
    return {event.data["key"]: event.data.get("new") for event in events if event.data.get("by") != "schedule"}


def rate_of(run: Run) -> float | None:
    """The learning rate of a trial, from what it says of itself or from its config, nested or flat."""
    config: Mapping[str, Any] = run.config or {}
    nested = config.get("optimizer")
    places = (run.info.get("lr"), config.get("optimizer.lr"), config.get("lr"))
    told = [*places, nested.get("lr") if isinstance(nested, dict) else None]
    told.append((run.info.get("optimizer") or {}).get("lr"))
    return next((float(value) for value in told if isinstance(value, (int, float))), None)


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        found.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return found


def count(value: float) -> str:
    """A count in few figures: 812, 4.1 k, 41 k, 1.2 M."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A span of time as 0:42, 4:12 or 1:03:20."""
    total = max(0, round(seconds))
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def how_far(reading: Reading | None) -> str:
    """How far a run is, in words."""
    if reading is None:
        return "starting"
    of = f" of {reading.planned:,}" if reading.planned else ""
    return f"step {reading.step:,}{of}".replace(",", " ")
