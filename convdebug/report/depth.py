"""Figures over the depth of the network: activations, gradient flow, update to weight."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from convdebug.report.drawing import LIGHT, Board, compact, depth_colours, step_axis, value_axis
from convdebug_sessions import Run, Session

WIDTH, WIDE = 560, 1148
_LABEL_ROWS = 24
_NAME_LENGTH = 22


def layers_with(session: Session, run: Run, ending: str) -> list[str]:
    """The layers, in forward order, that have `activation/<layer>/<ending>`."""
    head, tail = "activation/", f"/{ending}"
    names = session.series_names(run.id)
    return [name[len(head) : -len(tail)] for name in names if name.startswith(head) and name.endswith(tail)]


def weights_with(session: Session, run: Run, head: str, tail: str) -> list[str]:
    """The parameters in forward order that have `head<parameter>tail`; biases and gains only where nothing else is."""
    names = session.series_names(run.id)
    parameters = [name[len(head) : -len(tail)] for name in names if name.startswith(head) and name.endswith(tail)]
    shapes = {entry["name"]: entry.get("shape", ()) for entry in run.info.get("parameters", ())}
    wide = [name for name in parameters if len(shapes.get(name, (0, 0))) > 1 and not name.endswith("bias")]
    return wide or parameters


def activations_figure(session: Session, run: Run, layers: Sequence[str] | None = None) -> Board | None:
    """Mean ± deviation and deviation over depth at several steps, and the last histograms as a ridge.

    `layers` in forward order: all that were measured where none are given.
    """
    layers = layers_with(session, run, "std") if layers is None else layers
    rows = _moments(session, run, layers)
    if not rows:
        return None
    board = Board(WIDE, 264)
    colours = depth_colours(len(layers))
    _band(board.axes(48, 26, 316, 206), rows, colours)
    _deviations(board.axes(424, 26, 316, 206), rows, colours)
    _ridge(board.axes(870, 26, 264, 206), session, run, layers, colours)
    return board


def _moments(session: Session, run: Run, layers: Sequence[str]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(step, means over depth, deviations over depth) at up to four steps from first to last."""
    if not layers:
        return []
    spread = [f"activation/{layer}/std" for layer in layers]
    middle = [f"activation/{layer}/mean" for layer in layers]
    last = max(run.steps - 1, 0)
    found: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
    for step in (_first_step(session, run, spread[0]), last // 4, last // 2, last):
        deviations, steps = _at(session, run, spread, step)
        if steps:
            found[max(steps)] = (max(steps), _at(session, run, middle, step)[0], deviations)
    return [found[step] for step in sorted(found)]


def _first_step(session: Session, run: Run, name: str) -> int:
    buckets = session.buckets(name, run.id, points=200)
    return int(buckets.first_step[0]) if len(buckets.first_step) else 0


def _at(session: Session, run: Run, names: Sequence[str], step: int) -> tuple[np.ndarray, list[int]]:
    known = set(session.series_names(run.id))
    pairs = [session.value(name, step, run.id) if name in known else None for name in names]
    values = np.array([pair[1] if pair else np.nan for pair in pairs])
    return values, [pair[0] for pair in pairs if pair]


def _caption(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=LIGHT["dim"], pad=9)


def _depth_axis(axes: Axes, count: int) -> None:
    axes.set_xlim(0.5, count + 0.5)
    every = max(1, -(-count // 10))
    ticks = list(range(1, count + 1, every))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


def _band(axes: Axes, rows: list[tuple[int, np.ndarray, np.ndarray]], colours: list[str]) -> None:
    step, mean, deviation = rows[-1]
    depth = np.arange(1, len(mean) + 1)
    _caption(axes, f"mean ± deviation over depth, step {step}")
    _depth_axis(axes, len(mean))
    low, high = mean - deviation, mean + deviation
    finite = np.concatenate([low, high])[np.isfinite(np.concatenate([low, high]))]
    value_axis(axes, float(finite.min(initial=0)), float(finite.max(initial=0)), logarithmic=False)
    axes.fill_between(depth, low, high, color=LIGHT["accent"], alpha=0.14, linewidth=0)
    axes.plot(depth, mean, color=LIGHT["accent"], linewidth=1.4)
    axes.scatter(depth, mean, c=colours, s=26, zorder=3, linewidths=0)


def _deviations(axes: Axes, rows: list[tuple[int, np.ndarray, np.ndarray]], colours: list[str]) -> None:
    _caption(axes, "deviation")
    every = np.concatenate([deviation for _, _, deviation in rows])
    positive = every[np.isfinite(every) & (every > 0)]
    low, high = float(positive.min(initial=1)), float(positive.max(initial=1e-12))
    logarithmic = len(positive) > 0 and high / low > 4
    _depth_axis(axes, len(colours))
    value_axis(axes, low if logarithmic else 0.0, high, logarithmic=logarithmic)
    depth = np.arange(1, len(colours) + 1)
    for index, (step, _, deviation) in enumerate(rows):
        latest = index == len(rows) - 1
        strength = 1.0 if latest else 0.25 + 0.5 * index / len(rows)
        shown = np.where(np.isfinite(deviation) & (deviation > 0), deviation, np.nan)
        axes.plot(
            depth,
            shown,
            color=LIGHT["accent" if latest else "dim"],
            alpha=strength,
            linewidth=1.4,
            label=f"step {step}",
        )
    axes.scatter(depth, shown, c=colours, s=26, zorder=3, linewidths=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.012), ncols=4, frameon=False, fontsize=10, handlelength=1,
                columnspacing=0.9, handletextpad=0.4, borderaxespad=0, labelcolor=LIGHT["dim"])  # fmt: skip


def _ridge(axes: Axes, session: Session, run: Run, layers: Sequence[str], colours: list[str]) -> None:
    blob = session.blob_at("activation-histograms", max(run.steps, 0) + 1, run.id)
    axes.grid(False)
    axes.set_yticks([])
    axes.set_xticks([])
    if blob is None:
        _caption(axes, "no histograms were recorded")
        return
    table = np.asarray(session.read(blob), dtype=np.float64)
    position = {name: index for index, name in enumerate(blob.names)}
    shown = [
        (layer, colour, table[position[layer]])
        for layer, colour in zip(layers, colours, strict=True)
        if layer in position
    ]
    shown = [entry for entry in shown if np.isfinite(entry[2]).all() and entry[2][2:].sum() > 0]
    _caption(axes, f"histograms, step {blob.step}")
    if shown:
        _draw_ridge(axes, shown)


def _draw_ridge(axes: Axes, shown: list[tuple[str, str, np.ndarray]]) -> None:
    reach = max(_reach(row) for _, _, row in shown)
    every = max(1, -(-len(shown) // _LABEL_ROWS))
    for index, (layer, colour, row) in enumerate(shown):
        low, high, counts = row[0], row[1], row[2:]
        edges = np.linspace(low, high, len(counts) + 1)
        height = 1.7 * np.sqrt(counts / counts.max())  # a ReLU's spike at zero would hide the rest
        base = -float(index)
        axes.fill_between(
            (edges[1:] + edges[:-1]) / 2, base, base + height, color=colour, alpha=0.88, linewidth=0, zorder=index + 2
        )
        axes.plot([-reach, reach], [base, base], color=LIGHT["line"], linewidth=0.8, zorder=index + 2)
        if index % every == 0:
            axes.annotate(_short(layer), (0, base), xycoords=("axes fraction", "data"), xytext=(-8, 1), ha="right",
                          textcoords="offset points", va="bottom", fontsize=10, color=LIGHT["dim"])  # fmt: skip
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-len(shown) + 0.6, 2)
    axes.set_xticks([-reach, 0, reach], [compact(-reach), "0", compact(reach)])


def _reach(row: np.ndarray) -> float:
    """How far from zero the middle 99 % of a histogram lie."""
    counts = row[2:]
    middles = np.linspace(row[0], row[1], len(counts) + 1)
    middles = np.abs((middles[1:] + middles[:-1]) / 2)
    order = np.argsort(middles)
    share = np.cumsum(counts[order]) / counts.sum()
    return float(middles[order][np.searchsorted(share, 0.99)]) or 1e-12


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else "…" + name[-_NAME_LENGTH + 1 :]


def gradient_figure(session: Session, run: Run) -> Board | None:
    """Heat map of log10 gradient norm, layer over step, and the profile over depth at the last step."""
    weights = weights_with(session, run, "gradient/", "/norm")
    if not weights:
        return None
    edges, mean, bad = session.heat([f"gradient/{name}/norm" for name in weights], run.id, columns=260)
    if not np.isfinite(mean).any() and not bad.any():
        return None
    height = min(max(18 * len(weights), 196), 420)
    board = Board(WIDTH, height + 40)
    axes = board.axes(150, 12, 292, height)
    table = np.where((mean > 0) & np.isfinite(mean), np.log10(np.where(mean > 0, mean, 1)), np.nan)
    _heat(axes, edges, table, bad)
    _row_names(axes, weights)
    _profile(board.axes(452, 12, 62, height), table, weights)
    return board


def _heat(axes: Axes, edges: np.ndarray, table: np.ndarray, bad: np.ndarray) -> None:
    low, high = _colour_range(table)
    picture = mpl.colormaps["viridis"](np.clip((table - low) / (high - low), 0, 1))
    picture[np.isnan(table)] = (0.5, 0.5, 0.5, 0.12)
    picture[bad > 0] = mpl.colors.to_rgba(LIGHT["error"])
    extent = (float(edges[0]), float(edges[-1]), len(table) - 0.5, -0.5)
    axes.imshow(picture, aspect="auto", interpolation="nearest", extent=extent)
    axes.grid(False)
    step_axis(axes, float(edges[0]), float(edges[-1]))


def _colour_range(table: np.ndarray) -> tuple[float, float]:
    finite = table[np.isfinite(table)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, (0.01, 0.99))
    return float(low), float(max(high, low + 0.5))


def _row_names(axes: Axes, names: Sequence[str]) -> None:
    every = max(1, -(-len(names) // _LABEL_ROWS))
    rows = range(0, len(names), every)
    axes.set_yticks(list(rows), [_short(names[row].removesuffix(".weight")) for row in rows])


def _profile(axes: Axes, table: np.ndarray, names: Sequence[str]) -> None:
    last = np.array([_last_finite(row) for row in table])
    axes.set_axis_off()
    finite = last[np.isfinite(last)]
    if not len(finite):
        return
    floor = float(finite.min()) - 0.5
    axes.barh(np.arange(len(names)), last - floor, height=0.62, color=depth_colours(len(names)))
    axes.set_ylim(len(names) - 0.5, -0.5)
    every = max(1, -(-len(names) // _LABEL_ROWS))
    for row in range(0, len(names), every):
        if np.isfinite(last[row]):
            axes.annotate(f"{last[row]:.1f}".replace("-", "−"), (last[row] - floor, row), xytext=(4, 0),
                          textcoords="offset points", va="center", fontsize=10, color=LIGHT["dim"])  # fmt: skip


def _last_finite(row: np.ndarray) -> float:
    finite = row[np.isfinite(row)]
    return float(finite[-1]) if len(finite) else float("nan")


def update_figure(session: Session, run: Run) -> Board | None:
    """log10 of update to weight for each weight, with the lecture's band around 1e-3."""
    weights = weights_with(session, run, "update/", "/ratio")
    if not weights:
        return None
    edges, mean, _ = session.heat([f"update/{name}/ratio" for name in weights], run.id, columns=260)
    table = np.where((mean > 0) & np.isfinite(mean), np.log10(np.where(mean > 0, mean, 1)), np.nan)
    if not np.isfinite(table).any():
        return None
    board = Board(WIDTH, 236)
    axes = board.axes(48, 12, 498, 196)
    step_axis(axes, float(edges[0]), float(edges[-1]))
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    value_axis(axes, max(min(low, -4.0), -9), min(max(high, -2.0), 2), logarithmic=False)
    axes.axhspan(-3.5, -2.5, color=LIGHT["good"], alpha=0.13, linewidth=0)
    axes.axhline(-3, color=LIGHT["good"], alpha=0.6, linewidth=1)
    middle = (edges[1:] + edges[:-1]) / 2
    for row, colour in zip(table, depth_colours(len(weights)), strict=True):
        axes.plot(middle[np.isfinite(row)], row[np.isfinite(row)], color=colour, linewidth=1.3)
    return board
