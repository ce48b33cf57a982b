"""The figures that the pictures of the rules need beside those of the report: series, bars, heat maps and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from convdebug.report.curves import Marks, curve, draw_bad, draw_marks, middle_of, step_axes
from convdebug.report.drawing import LIGHT, Board, compact, depth_colours, step_axis, value_axis
from convdebug_sessions import Buckets, Diagnosis, Run, Session

WIDTH, HEIGHT = 560, 203
STRIP = 26
"""Room above the axes for the caption and the key, in pixels."""
_LEFT, _RIGHT, _BOTTOM = 52, 14, 26
_COLOURS = ("accent", "validation", "good", "dim")


@dataclass(frozen=True)
class Sick:
    """A sick run with the diagnosis that the picture is about, and its marks."""

    session: Session
    run: Run
    diagnosis: Diagnosis
    marks: Marks


def framed(board: Board, caption: str, key: Sequence[tuple[str, str]] = (), along: str = "step") -> Board:
    """The board in the size of all pictures: caption above at the left, key (name, colour) at the right.

    `along` is what the first axes count from left to right.
    """
    figure = board.figure
    figure.set_size_inches(WIDTH / 72, HEIGHT / 72)
    share = 1 - STRIP / HEIGHT
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 * share, box.width, box.height * share))
    first = figure.axes[0]
    first.annotate(
        along, (0, 0), xycoords=("figure fraction", "axes fraction"), xytext=(10, -6), textcoords="offset points",
        va="top", color=LIGHT["dim"], fontsize=11,
    )  # fmt: skip
    figure.text(10 / WIDTH, 1 - 7 / HEIGHT, caption, va="top", color=LIGHT["ink"], fontsize=11)
    handles = [mpl.lines.Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in key]
    if handles:
        figure.legend(
            handles=handles, loc="upper right", bbox_to_anchor=(1 - 10 / WIDTH, 1 - 2 / HEIGHT), ncols=len(handles),
            frameon=False, fontsize=10, handlelength=1.1, columnspacing=1.1, handletextpad=0.5, borderaxespad=0,
            labelcolor=LIGHT["dim"],
        )  # fmt: skip
    return board


def layer(name: str) -> str:
    """A layer's name for people: that of a nameless one is only a number."""
    return f"layer {name}" if name.isdigit() else name


def whole_axes(board: Board, left: float = _LEFT) -> Axes:
    return board.axes(left, 8, board.width - left - _RIGHT, board.height - 8 - _BOTTOM)


def lines(
    sick: Sick,
    caption: str,
    series: Mapping[str, str],
    *,
    levels: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    include: Sequence[float] = (),
) -> Board:
    """Series over the steps by their name in the key; `levels` are lines to hold them against, in the key too."""
    found = {label: curve(sick.session, sick.run, name) for label, name in series.items()}
    drawn = {label: buckets for label, buckets in found.items() if buckets is not None}
    colours = [LIGHT[token] for token in _COLOURS] if len(drawn) <= len(_COLOURS) else depth_colours(len(drawn))
    board = Board(WIDTH, HEIGHT)
    axes = step_axes(board, next(iter(drawn.values())))
    levels = levels or {}
    _fit(axes, [buckets.mean for buckets in drawn.values()], [*levels.values(), *include], logarithmic)
    pairs = zip(drawn.items(), colours, strict=False)
    key = [_line(axes, buckets, label, colour, _hidden(label, drawn)) for (label, buckets), colour in pairs]
    for label, level in levels.items():
        axes.axhline(level, color=LIGHT["faint"], linewidth=1.4, linestyle=(0, (5, 3)))
        key.append((label, LIGHT["faint"]))
    draw_marks(axes, sick.marks)
    return framed(board, caption, key)


def _hidden(label: str, drawn: Mapping[str, Buckets]) -> bool:
    """Whether a line drawn later lies on this one."""
    labels = list(drawn)
    later = [drawn[each].mean for each in labels[labels.index(label) + 1 :]]
    return any(np.allclose(drawn[label].mean, mean, rtol=0.02, equal_nan=True) for mean in later)


def _line(axes: Axes, buckets: Buckets, label: str, colour: str, hidden: bool) -> tuple[str, str]:
    marker = "o" if len(buckets.mean) < 25 else None
    width = 5.0 if hidden else 1.8
    axes.plot(middle_of(buckets), buckets.mean, color=colour, linewidth=width, marker=marker, markersize=width + 1.2)
    draw_bad(axes, buckets)
    return label, colour


def _fit(axes: Axes, values: Sequence[np.ndarray], others: Sequence[float], logarithmic: bool) -> None:
    every = np.concatenate([*values, np.asarray(others, float)])
    every = every[np.isfinite(every) & ((every > 0) | (not logarithmic))]
    value_axis(axes, float(every.min()), float(every.max()), logarithmic=logarithmic)


def with_level(board: Board, level: float) -> Board:
    """A figure of the report with one more line to hold it against."""
    axes = board.figure.axes[0]
    low, high = axes.get_ylim()
    logarithmic = axes.get_yscale() == "log"
    value_axis(axes, min(low, level), max(high, level), logarithmic=logarithmic)
    axes.axhline(level, color=LIGHT["good"], linewidth=1.2, linestyle=(0, (5, 3)))
    return board


def heat(sick: Sick, caption: str, rows: Mapping[str, str], *, empty: str = "", last: int | None = None) -> Board:
    """log10 of series over the steps, a row for each; red where not finite, grey with `empty` where nothing."""
    known = set(sick.session.series_names(sick.run.id))
    there = [name for name in rows.values() if name in known]
    edges, mean, bad = sick.session.heat(there, sick.run.id, last=last, columns=260)
    table = np.full((len(rows), len(edges) - 1), np.nan)
    broken = np.zeros(table.shape, bool)
    places = [index for index, name in enumerate(rows.values()) if name in known]
    table[places], broken[places] = _logarithm(mean), bad > 0
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board, left=110)
    _draw_heat(axes, edges, table, broken)
    axes.set_yticks(range(len(rows)), [layer(name) for name in rows])
    for index in range(len(rows)):
        if empty and not np.isfinite(table[index]).any() and not broken[index].any():
            axes.annotate(empty, (0.5, index), xycoords=("axes fraction", "data"), ha="center", va="center",
                          color=LIGHT["error"], fontsize=11)  # fmt: skip
    draw_marks(axes, sick.marks)
    return framed(board, caption)


def _logarithm(values: np.ndarray) -> np.ndarray:
    positive = np.isfinite(values) & (values > 0)
    return np.where(positive, np.log10(np.where(positive, values, 1.0)), np.nan)


def _draw_heat(axes: Axes, edges: np.ndarray, table: np.ndarray, broken: np.ndarray) -> None:
    finite = table[np.isfinite(table)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    picture = mpl.colormaps["viridis"](0.08 + 0.8 * np.clip((table - low) / max(high - low, 0.5), 0, 1))
    picture[np.isnan(table)] = (0.5, 0.5, 0.5, 0.12)
    picture[broken] = mpl.colors.to_rgba(LIGHT["error"])
    extent = (float(edges[0]), float(edges[-1]), len(table) - 0.5, -0.5)
    axes.imshow(picture, aspect="auto", interpolation="nearest", extent=extent)
    axes.grid(False)
    for row in range(1, len(table)):
        axes.axhline(row - 0.5, color="white", linewidth=2)
    step_axis(axes, float(edges[0]), float(edges[-1]))


def bars(
    caption: str, values: Mapping[str, float], *, ill: Sequence[str] = (), level: float | None = None,
    logarithmic: bool = False, level_name: str = "",
) -> Board:  # fmt: skip
    """Bars by name with their numbers on them, those of `ill` in red; `level` is what they are held against."""
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    heights = np.array(list(values.values()), float)
    others = [level] if level is not None else []
    if logarithmic:
        _fit(axes, [heights], others, True)
    else:
        _fit(axes, [heights * 1.1], [0.0, *others], False)
    bottom = axes.get_ylim()[0] if logarithmic else 0.0
    colours = [LIGHT["error" if name in ill else "accent"] for name in values]
    axes.bar(np.arange(len(heights)), heights - bottom, 0.62, bottom, color=colours)
    axes.set_xticks(range(len(heights)), list(values))
    axes.set_xlim(-0.6, len(heights) - 0.4)
    for place, height in enumerate(heights):
        axes.annotate(compact(float(height)), (place, height), xytext=(0, 3), textcoords="offset points", ha="center",
                      va="bottom", color=LIGHT["dim"], fontsize=10)  # fmt: skip
    key = []
    if level is not None:
        axes.axhline(level, color=LIGHT["faint"], linewidth=1.4, linestyle=(0, (5, 3)))
        key = [(level_name, LIGHT["faint"])]
    return framed(board, caption, key, along="")


def stacked(sick: Sick, caption: str, series: Mapping[str, str]) -> Board:
    """Times in milliseconds over the steps, one upon the other."""
    steps, values = sick.session.matrix(list(series.values()), sick.run.id)
    return piled(sick, caption, steps, dict(zip(series, 1000 * np.nan_to_num(values).T, strict=True)))


def piled(sick: Sick, caption: str, steps: np.ndarray, parts: Mapping[str, np.ndarray]) -> Board:
    """Parts `(steps,)` of a whole, one upon the other."""
    values = np.stack(list(parts.values()))
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    step_axis(axes, float(steps[0]), float(steps[-1]))
    value_axis(axes, 0.0, float(np.quantile(values.sum(0), 0.97)) * 1.15, logarithmic=False)
    axes.set_ylim(bottom=0)
    colours = [LIGHT[token] for token in ("validation", "accent", "good", "faint")][: len(parts)]
    axes.stackplot(steps, values, colors=colours, linewidth=0)
    draw_marks(axes, sick.marks)
    return framed(board, caption, list(zip(parts, colours, strict=True)))


def _averaged(values: np.ndarray, over: int) -> np.ndarray:
    return np.convolve(values, np.ones(over) / over, "valid")


def chart(sick: Sick, caption: str, over: int = 1) -> Board:
    """What a check drew, large, with its axes; lines are averaged over so many neighbours."""
    data = sick.session.events(0, kinds={"chart"})[-1].data
    named = {line["name"]: _averaged(np.array(line["y"], float), over) for line in data["lines"]}
    if data["bars"]:
        heights = dict(zip(data["names"], next(iter(named.values())), strict=True))
        ill = [name for name, height in heights.items() if data["level"] is not None and height > data["level"]]
        return bars(caption, heights, ill=ill, level=data["level"], level_name=data["level_name"],
                    logarithmic=data["log_y"])  # fmt: skip
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    _fit(axes, list(named.values()), [], data["log_y"])
    key = []
    for (name, values), token, width in zip(named.items(), _COLOURS, (3.6, 1.6, 1.6, 1.6), strict=False):
        axes.plot(values, color=LIGHT[token], linewidth=width, marker="o" if len(values) < 15 else None, markersize=3)
        key.append((name, LIGHT[token]))
    if data["names"]:
        axes.set_xticks(range(len(data["names"])), data["names"])
    else:
        step_axis(axes, 0, len(next(iter(named.values()))) - 1)
    return framed(board, caption, key if len(key) > 1 else (), along=data["x_label"])
