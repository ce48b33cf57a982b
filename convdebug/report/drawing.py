"""The drawing board of the report: matplotlib figures in pixels that become inline SVG in the colours of the page."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LIGHT = {
    "ground": "#f3f4f6",
    "panel": "#ffffff",
    "line": "#dde1e7",
    "ink": "#1d2430",
    "dim": "#667085",
    "faint": "#b6bdc9",
    "accent": "#1f6feb",
    "validation": "#d9731a",
    "error": "#d33a2c",
    "warning": "#b7791f",
    "good": "#2a9d5c",
}
DARK = {
    "ground": "#14171c",
    "panel": "#1b1f26",
    "line": "#2a303a",
    "ink": "#dfe4ec",
    "dim": "#8b95a5",
    "faint": "#4a5362",
    "accent": "#4ea1ff",
    "validation": "#f2a65a",
    "error": "#ff6b5e",
    "warning": "#f2b84b",
    "good": "#57c98a",
}

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 11.0,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
    "axes.unicode_minus": True,
}


class Board:
    """One figure of a given size in pixels; axes are placed in pixels from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Quiet axes: no box, horizontal grid lines, small dim tick labels."""
        bottom = self.height - top - height
        axes = self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, pad=6, colors=LIGHT["dim"], labelsize=11)
        axes.grid(axis="y", color=LIGHT["line"], linewidth=1)
        axes.set_axisbelow(True)
        return axes

    def svg(self, name: str) -> str:
        """The figure as an `<svg>` element whose ids begin with `name` and whose token colours are CSS variables."""
        buffer = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": name}):
            self.figure.savefig(buffer, format="svg", transparent=True)
        return _inline(buffer.getvalue(), name)


@contextmanager
def board_settings() -> Iterator[None]:
    """Matplotlib set for the report: real text, no mathematics in names that come from a stranger's model."""
    with mpl.rc_context(_SETTINGS):
        yield


def _inline(svg: str, name: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg class="plot" role="img" viewBox="\1">', body, count=1)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = body.replace(
        '<defs>\n  <style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style>\n </defs>', ""
    )
    for token, colour in LIGHT.items():
        body = body.replace(colour, f"var(--{token})")
    return body


def depth_colours(count: int) -> list[str]:
    """Viridis by depth, first layer dark; the very end is left out, where yellow is lost on white."""
    table = mpl.colormaps["viridis"]
    return [mpl.colors.to_hex(table(0.92 * index / max(count - 1, 1))) for index in range(count)]


def compact(value: float) -> str:
    """A number as short as an axis wants it: 0.005, 2.3, 1024, 1e−4, 1.2e4."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e4:
        return (f"{value:.3g}" if size < 999.5 else f"{value:.0f}").replace("-", "−")
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def step_axis(axes: Axes, first: float, last: float) -> None:
    """A time axis with four or five whole numbers on it."""
    last = max(last, first + 1)
    axes.set_xlim(first, last)
    ticks = _round_ticks(first, last, 5)
    axes.set_xticks(ticks, [f"{tick:,.0f}".replace(",", " ") for tick in ticks])


def value_axis(axes: Axes, low: float, high: float, *, logarithmic: bool, extra: Sequence[float] = ()) -> None:
    """A value axis with few own ticks; a logarithmic one would crowd its labels."""
    low, high = _padded(low, high, logarithmic)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set_ylim(low, high)
    ticks = _log_ticks(low, high) if logarithmic else _round_ticks(low, high, 4)
    axes.set_yticks(ticks, [compact(tick) for tick in ticks])


def _padded(low: float, high: float, logarithmic: bool) -> tuple[float, float]:
    if logarithmic:
        low = max(low, 1e-30)
        margin = max(high / low, 1.2) ** 0.06
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    return low - margin, high + margin


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    locator = mpl.ticker.MaxNLocator(nbins=count, steps=[1, 2, 5, 10])
    return [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**d for d in decades for m in mantissas if low <= m * 10.0**d <= high]
        if len(ticks) <= 6:
            break
    every = math.ceil(len(ticks) / 6)
    return ticks[::every] if every > 1 else ticks


def smooth(values: np.ndarray, window: float) -> np.ndarray:
    """Exponential moving average (bias corrected) that skips what is not finite."""
    weight = 1 - 1 / max(window, 1.0)
    total = share = 0.0
    result = np.full(len(values), np.nan)
    for index, value in enumerate(values):
        if math.isfinite(value):
            total, share = weight * total + (1 - weight) * value, weight * share + (1 - weight)
            result[index] = total / share
    return result
