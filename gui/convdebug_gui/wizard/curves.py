"""What the small plot of a check shows: taken from the runs it recorded or the numbers it measured; no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convdebug_gui.reading import rate_of
from convdebug_sessions import Run, Session

POINTS = 400


@dataclass(frozen=True)
class Line:
    """One line of the plot; non-finite values are marks at the top edge."""

    x: np.ndarray
    y: np.ndarray
    name: str = ""
    current: bool = True


@dataclass(frozen=True)
class Picture:
    """Everything one small plot shows."""

    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    points: bool = False
    level: float | None = None
    level_name: str = ""
    places: tuple[str, ...] = ()
    """Names along the x-axis (layers, parameters), where it is no number."""
    columns: bool = False
    """Whether each value is a column instead of a point of a line."""
    legend: bool = False
    """Whether the lines are to be told apart by their names."""


def picture_of(session: Session, run: Run, result: Mapping[str, Any]) -> Picture | None:
    """The plot of a check: its own chart, else last loss against rates that were swept, else losses, else numbers."""
    trials = [other for other in session.runs if other.parent == run.id and not other.info.get("longer")]
    return _charted(session, run) or _swept(session, trials) or _losses(session, [run, *trials]) or _measured(result)


def _charted(session: Session, run: Run) -> Picture | None:
    """What the check itself drew: its last event `chart`."""
    events = session.events(run.id, kinds={"chart"})
    chart = events[-1].data if events else {}
    drawn = [line for line in chart.get("lines") or () if len(line["y"])]
    if not drawn:
        return None
    lines = []
    for line in drawn:
        y = np.array(line["y"], dtype=float)
        x = np.array(chart["x"] if len(chart["x"]) == len(y) else np.arange(len(y)), dtype=float)
        lines.append(Line(x, y, line["name"] if len(drawn) > 1 else "", current=line is drawn[-1]))
    return Picture(
        tuple(lines),
        chart["x_label"],
        chart["y_label"],
        log_x=chart["log_x"],
        log_y=chart["log_y"],
        points=bool(chart["names"]) and not chart["bars"],
        level=chart["level"],
        level_name=chart["level_name"],
        places=tuple(chart["names"]),
        columns=chart["bars"],
        legend=len(drawn) > 1,
    )


def _swept(session: Session, trials: list[Run]) -> Picture | None:
    rates, finals = [], []
    for trial in trials:
        rate = rate_of(trial)
        found = session.value("train/loss", 2**62, trial.id) if "train/loss" in session.series_names(trial.id) else None
        if rate is not None and found is not None:
            rates.append(rate)
            finals.append(found[1])
    if len(set(rates)) < 3:
        return None
    order = np.argsort(rates)
    line = Line(np.array(rates)[order], np.array(finals)[order])
    return Picture((line,), "learning rate", "last loss", log_x=True, log_y=_wide(line.y), points=True)


def _losses(session: Session, runs: list[Run]) -> Picture | None:
    lines = []
    for run in runs:
        if "train/loss" not in session.series_names(run.id):
            continue
        found = session.buckets("train/loss", run.id, points=POINTS)
        if len(found.mean):
            y = np.where(found.bad > 0, np.nan, found.mean)
            lines.append(Line((found.first_step + found.last_step) / 2, y, run.name))
    if not lines or max(len(line.x) for line in lines) < 2:
        return None
    lines = [Line(line.x, line.y, line.name, current=line is lines[-1]) for line in lines]
    every = np.concatenate([line.y for line in lines])
    return Picture(tuple(lines), "step", "loss", log_y=_wide(every))


def _measured(result: Mapping[str, Any]) -> Picture | None:
    """The longest list of numbers among the measured values, one point after another."""
    measured = result.get("measured") or {}
    lists = {key: _numbers(value) for key, value in measured.items()}
    key = max(lists, key=lambda key: len(lists[key]), default=None)
    if key is None or len(lists[key]) < 3:
        return None
    y = lists[key]
    return Picture((Line(np.arange(len(y), dtype=float), y),), "", key.replace("_", " "), log_y=_wide(y), points=True)


def _numbers(value: Any) -> np.ndarray:
    values = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(values, list | tuple) and all(isinstance(part, int | float) for part in values):
        return np.array(values, dtype=float)
    return np.empty(0)


def _wide(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite)) and bool(finite.min() > 0) and bool(finite.max() / finite.min() > 10)
