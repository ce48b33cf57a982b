"""The learning-rate sweep as one figure: final loss against rate, with the spread over seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from convdebug.report.drawing import LIGHT, Board, compact, value_axis

WIDTH, HEIGHT = 1148, 236


def sweep_figure(trials: Sequence[Mapping[str, Any]], suggestion: Mapping[str, Any] | None) -> Board | None:
    """Trials and suggestion as in `sweep --json`; trials that diverged stand at the upper edge."""
    trials = [trial for trial in trials if _number(trial.get("lr")) > 0]
    finite = [trial for trial in trials if math.isfinite(_number(trial.get("last_loss")))]
    if not trials:
        return None
    board = Board(WIDTH, HEIGHT)
    axes = board.axes(48, 14, WIDTH - 62, HEIGHT - 44)
    _rate_axis(axes, [_number(trial["lr"]) for trial in trials])
    _loss_axis(axes, finite)
    _suggestion(axes, suggestion)
    _spread(axes, [trial for trial in finite if trial["status"] != "diverged"])
    _points(axes, trials)
    return board


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _rate_axis(axes: Axes, rates: Sequence[float]) -> None:
    low, high = min(rates), max(rates)
    margin = max(high / low, 1.5) ** 0.04
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xlim(low / margin, high * margin)
    decades = range(math.ceil(math.log10(low / margin)), math.floor(math.log10(high * margin)) + 1)
    every = max(1, -(-len(decades) // 8))
    ticks = [10.0**decade for decade in decades][::every] or [low]
    axes.set_xticks(ticks, [compact(tick) if tick < 1e-3 or tick >= 1e4 else f"{tick:g}" for tick in ticks])


def _loss_axis(axes: Axes, finite: Sequence[Mapping[str, Any]]) -> None:
    firsts = [_number(trial.get("first_loss")) for trial in finite]
    first = float(np.median([value for value in firsts if math.isfinite(value)] or [1.0]))
    lasts = np.array([_number(trial["last_loss"]) for trial in finite if trial["status"] != "diverged"])
    low = min(float(lasts.min(initial=first)), first)
    high = max(float(lasts.max(initial=first)), first * 1.02)
    high = min(high, 3 * first) if first > 0 else high
    value_axis(axes, low, high + 0.12 * (high - low), logarithmic=low > 0 and high / low > 12)
    axes.axhline(first, color=LIGHT["faint"], linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("loss at the start", (0, first), xycoords=("axes fraction", "data"), xytext=(2, 3),
                  textcoords="offset points", fontsize=10, color=LIGHT["dim"])  # fmt: skip


def _suggestion(axes: Axes, suggestion: Mapping[str, Any] | None) -> None:
    if not suggestion:
        return
    low, high, rate = (_number(suggestion.get(key)) for key in ("low", "high", "lr"))
    if low > 0 and high > 0:
        axes.axvspan(low, high, color=LIGHT["good"], alpha=0.10, linewidth=0)
    if rate > 0:
        axes.axvline(rate, color=LIGHT["good"], linewidth=1.6)


def _spread(axes: Axes, trials: Sequence[Mapping[str, Any]]) -> None:
    rates = sorted({_number(trial["lr"]) for trial in trials})
    groups = [[_number(trial["last_loss"]) for trial in trials if _number(trial["lr"]) == rate] for rate in rates]
    if not groups:
        return
    axes.fill_between(
        rates, [min(g) for g in groups], [max(g) for g in groups], color=LIGHT["accent"], alpha=0.15, linewidth=0
    )
    axes.plot(rates, [float(np.median(g)) for g in groups], color=LIGHT["accent"], linewidth=1.6)


def _points(axes: Axes, trials: Sequence[Mapping[str, Any]]) -> None:
    looks = {"ok": ("accent", "o"), "stalled": ("dim", "o")}
    for status, (token, marker) in looks.items():
        chosen = [(trial["lr"], trial["last_loss"]) for trial in trials if trial["status"] == status]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), marker, color=LIGHT[token], markersize=4.5, markeredgewidth=0)
    burst = sorted({trial["lr"] for trial in trials if trial["status"] == "diverged"})
    if burst:
        axes.plot(burst, [0.965] * len(burst), "x", color=LIGHT["error"], markersize=6, markeredgewidth=1.8,
                  transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
