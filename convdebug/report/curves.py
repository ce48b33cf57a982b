"""Curves over the steps of a run: loss, accuracy and the small ones beside a check."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from convdebug.report.charts import small_chart
from convdebug.report.drawing import LIGHT, Board, smooth, step_axis, value_axis
from convdebug_sessions import Buckets, Diagnosis, Run, Session

POINTS = 600
WIDTH, HEIGHT = 560, 236
_TOP, _LEFT, _RIGHT, _BOTTOM = 12, 48, 14, 28


@dataclass(frozen=True)
class Marks:
    """What stands across a curve: steps where a setting was changed, and where diagnoses begin."""

    changes: Sequence[int] = ()
    diagnoses: Sequence[tuple[int, str]] = ()


def marks_of(session: Session, run: Run, diagnoses: Sequence[Diagnosis]) -> Marks:
    changes = [event.step for event in session.events(run.id, kinds={"change"}) if event.step is not None]
    starts = {d.first_step: d.severity for d in reversed(diagnoses) if d.severity in ("error", "warning")}
    return Marks(changes[:60], list(starts.items())[:20])


def curve(session: Session, run: Run, name: str, points: int = POINTS) -> Buckets | None:
    """A series drawn from the level pyramid, or None where the run has no such series or no value in it."""
    if name not in session.series_names(run.id):
        return None
    buckets = session.buckets(name, run.id, points=points)
    return buckets if len(buckets.mean) else None


def loss_figure(session: Session, run: Run, marks: Marks) -> Board | None:
    train, validation = curve(session, run, "train/loss"), curve(session, run, "val/loss")
    if train is None:
        return None
    board = Board(WIDTH, HEIGHT)
    axes = step_axes(board, train)
    first = _first_finite(train.mean)
    low, high = _limits(train, validation)
    logarithmic = low > 0 and high / low > 8
    limit = 3 * first if first > 0 else math.nan
    if logarithmic or high > 0.6 * limit:
        high = max(high, 1.08 * limit) if math.isfinite(limit) else high
        _three_times_first(axes, limit)
    value_axis(axes, low, high, logarithmic=logarithmic)
    _draw_train(axes, train)
    _draw_points(axes, validation)
    draw_bad(axes, train)
    draw_marks(axes, marks)
    return board


def accuracy_figure(session: Session, run: Run, marks: Marks) -> Board | None:
    train, validation = curve(session, run, "train/accuracy"), curve(session, run, "val/accuracy")
    shown = train or validation
    if shown is None:
        return None
    board = Board(WIDTH, HEIGHT)
    axes = step_axes(board, curve(session, run, "train/loss") or shown)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    if train is not None:
        _draw_train(axes, train)
    _draw_points(axes, validation, joined=True)
    if train is not None and validation is not None:
        _shade_gap(axes, train, validation)
    draw_marks(axes, marks)
    return board


def small_figure(session: Session, run: Run) -> Board | None:
    """What a check drew, or its loss, in the size of a word."""
    chart = small_chart(session, run)
    if chart is not None:
        return chart
    train = curve(session, run, "train/loss", points=120)
    if train is None or np.isfinite(train.mean).sum() < 15:
        return None
    board = Board(148, 34)
    axes = board.axes(2, 3, 144, 28)
    axes.set_axis_off()
    values = np.where(np.isfinite(train.mean), train.mean, np.nan)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low > 0 and high / low > 8:
        axes.set_yscale("log")
    axes.plot(middle_of(train), values, color=LIGHT["accent"], linewidth=1.4, solid_joinstyle="round")
    return board


def step_axes(board: Board, buckets: Buckets) -> Axes:
    """Axes over the whole board whose time axis spans the steps of the buckets."""
    axes = board.axes(_LEFT, _TOP, board.width - _LEFT - _RIGHT, board.height - _TOP - _BOTTOM)
    step_axis(axes, float(buckets.first_step[0]), float(buckets.last_step[-1]))
    return axes


def middle_of(buckets: Buckets) -> np.ndarray:
    """Where a bucket is drawn: (n,) in steps."""
    return (buckets.first_step + buckets.last_step) / 2


def _first_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[0]) if len(finite) else math.nan


def _limits(*curves: Buckets | None) -> tuple[float, float]:
    """The range to show: all of it, except that a rare outlier does not flatten the rest."""
    lows, highs = [], []
    for buckets in curves:
        if buckets is None:
            continue
        lows.append(buckets.minimum[np.isfinite(buckets.minimum)])
        highs.append(buckets.maximum[np.isfinite(buckets.maximum)])
    low, high = np.concatenate(lows), np.concatenate(highs)
    if not len(low):
        return 0.0, 1.0
    return float(low.min()), float(high.max())


def _draw_train(axes: Axes, buckets: Buckets) -> None:
    middle = middle_of(buckets)
    mean = np.where(np.isfinite(buckets.mean), buckets.mean, np.nan)
    if (buckets.last_step > buckets.first_step).any():
        axes.fill_between(
            middle, buckets.minimum, buckets.maximum, color=LIGHT["accent"], alpha=0.18, linewidth=0, step=None
        )
    axes.plot(middle, mean, color=LIGHT["accent"], alpha=0.32, linewidth=1)
    axes.plot(middle, smooth(mean, len(mean) / 25), color=LIGHT["accent"], linewidth=1.8, solid_joinstyle="round")


def _draw_points(axes: Axes, buckets: Buckets | None, *, joined: bool = False) -> None:
    if buckets is None:
        return
    if joined:
        axes.plot(middle_of(buckets), buckets.mean, color=LIGHT["validation"], linewidth=1.4)
    size = 4.5 if len(buckets.mean) <= 60 else 2.5
    axes.plot(middle_of(buckets), buckets.mean, "o", color=LIGHT["validation"], markersize=size, markeredgewidth=0)


def draw_bad(axes: Axes, buckets: Buckets) -> None:
    """Steps that are not finite: red strokes at the upper edge."""
    where = middle_of(buckets)[buckets.bad > 0]
    if len(where):
        axes.vlines(where, 0.955, 1, transform=axes.get_xaxis_transform(), color=LIGHT["error"], linewidth=1.6)


def draw_marks(axes: Axes, marks: Marks) -> None:
    """A stroke across the axes for each change and each diagnosis."""
    for step in marks.changes:
        axes.axvline(step, color=LIGHT["faint"], linewidth=1)
    for step, severity in marks.diagnoses:
        axes.axvline(step, color=LIGHT[severity], linewidth=1, linestyle=(0, (3, 3)), alpha=0.8)


def _three_times_first(axes: Axes, limit: float) -> None:
    if not math.isfinite(limit):
        return
    axes.axhline(limit, color=LIGHT["error"], linewidth=1, linestyle=(0, (4, 3)), alpha=0.75)
    axes.annotate(
        "3 × first loss", (0, limit), xycoords=("axes fraction", "data"), xytext=(4, 3),
        textcoords="offset points", ha="left", va="bottom", color=LIGHT["error"], fontsize=10,
    )  # fmt: skip


def _shade_gap(axes: Axes, train: Buckets, validation: Buckets) -> None:
    where = middle_of(validation)
    smoothed = smooth(train.mean, len(train.mean) / 25)
    known = np.isfinite(smoothed)
    if known.sum() > 1 and len(where) > 1:
        above = np.interp(where, middle_of(train)[known], smoothed[known])
        axes.fill_between(where, validation.mean, above, color=LIGHT["validation"], alpha=0.14, linewidth=0)
