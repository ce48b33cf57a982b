"""Numbers by name beside a check, as bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from convdebug.report.drawing import LIGHT, Board, compact

WIDTH, ROW = 148, 15
LEAST, MOST = 3, 8


def small_bars(result: Mapping[str, Any]) -> Board | None:
    """The first mapping of names to numbers among the measured values, longest bar as wide as there is room."""
    named = next((found for value in (result.get("measured") or {}).values() if (found := _named(value))), None)
    if named is None:
        return None
    board = Board(WIDTH, ROW * len(named) + 4)
    axes = board.axes(52, 2, WIDTH - 88, ROW * len(named))
    axes.set_axis_off()
    places, values = np.arange(len(named))[::-1], np.array(list(named.values()))
    axes.barh(places, values, height=0.6, color=LIGHT["accent"])
    axes.set_xlim(0, max(float(values.max()), 1e-12))
    axes.set_ylim(-0.5, len(named) - 0.5)
    for place, (name, value) in zip(places, named.items(), strict=True):
        look: dict[str, Any] = {"va": "center", "fontsize": 9, "color": LIGHT["dim"], "textcoords": "offset points"}
        axes.annotate(name, (0, place), xytext=(-4, 0), ha="right", **look)
        axes.annotate(compact(value), (value, place), xytext=(4, 0), ha="left", **look)
    return board


def _named(value: Any) -> dict[str, float] | None:
    if not isinstance(value, Mapping) or not LEAST <= len(value) <= MOST:
        return None
    good = all(isinstance(part, int | float) and not isinstance(part, bool) and part >= 0 for part in value.values())
    return {str(name): float(part) for name, part in value.items()} if good else None
