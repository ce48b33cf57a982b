"""The chart that a check drew, in the size of a word beside its verdict."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from convdebug.report.drawing import LIGHT, Board
from convdebug_sessions import Run, Session

WIDTH, HEIGHT = 148, 34


def small_chart(session: Session, run: Run) -> Board | None:
    """The last event `chart` of a check; None where it drew nothing that has a number in it."""
    events = session.events(run.id, kinds={"chart"})
    chart: dict[str, Any] = events[-1].data if events else {}
    lines = [np.array(line["y"], dtype=float) for line in chart.get("lines") or ()]
    lines = [_drawable(line, chart["log_y"]) for line in lines]
    if not any(np.isfinite(line).any() for line in lines):
        return None
    board = Board(WIDTH, HEIGHT)
    axes = board.axes(2, 3, WIDTH - 4, HEIGHT - 6)
    axes.set_axis_off()
    if chart["log_y"]:
        axes.set_yscale("log")
    _limits(axes, lines, chart)
    for line in lines:
        _draw(axes, line, chart, latest=line is lines[-1])
    if chart["level"] is not None:
        axes.axhline(chart["level"], color=LIGHT["error"], linewidth=1, linestyle=(0, (4, 3)))
    return board


def _drawable(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    return np.where(np.isfinite(values) & ((values > 0) | (not logarithmic)), values, np.nan)


def _limits(axes: Axes, lines: list[np.ndarray], chart: dict[str, Any]) -> None:
    every = np.concatenate([*lines, [chart["level"]] if chart["level"] is not None else []])
    finite = every[np.isfinite(every)]
    low, high = float(finite.min()), float(finite.max())
    if chart["log_y"]:
        axes.set_ylim(low / 2, max(high, 2 * low) * 2)
    else:
        axes.set_ylim(min(low, 0.0) if chart["bars"] else low, high + 0.05 * (high - low or abs(high) or 1.0))


def _draw(axes: Axes, line: np.ndarray, chart: dict[str, Any], latest: bool) -> None:
    colour = LIGHT["accent" if latest else "faint"]
    if chart["bars"]:
        beyond = np.zeros(len(line), bool) if chart["level"] is None else line > chart["level"]
        colours = np.where(beyond, LIGHT["error"], colour)
        bottom = axes.get_ylim()[0]
        axes.bar(np.arange(len(line)), np.nan_to_num(line - bottom), 0.6, bottom, color=list(colours))
    else:
        marker = "o" if chart["names"] and np.isfinite(line).sum() < 15 else None
        axes.plot(line, color=colour, linewidth=1.4, solid_joinstyle="round", marker=marker, markersize=2.5)
