"""Update : weight, how far each step moves the weights of a layer against their size; about 1e-3 is healthy."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QVBoxLayout

from convdebug_gui.controls import label
from convdebug_gui.curve_items import Stroke, Strokes
from convdebug_gui.curves import log10
from convdebug_gui.layers import Layer
from convdebug_gui.panels.base import Panel, Table
from convdebug_gui.plot_items import depth_color
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme, with_alpha
from convdebug_gui.ticks import finite_range, short_number, step_number

BAND = (-3.5, -2.5)
PICK_WITHIN_PX = 8
MANY = 40


class UpdatesPanel(Panel):
    name = "updates"
    title = "Update : weight"
    waits_for = (
        "How far each step moves the weights appears here, one curve per layer. "
        "Around a thousandth of the weight itself is healthy; that band is marked."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        self.tools = [label("log₁₀, aim −3", "caption")]
        self._layers: list[Layer] = []
        self._steps, self._ratios, self._bad = np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0))
        self.chart = Chart()
        self.lines = Strokes(self.chart.view)
        self.chart.hover_text = self._hover
        self.chart.step_clicked.connect(self._clicked)
        self.watch_zoom(self.chart)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(4, 0, 4, 0)
        column.addWidget(self.chart)

    def _with_updates(self) -> list[Layer]:
        names = self.model.facts.names
        return [layer for layer in self.model.shown_layers if layer.weight and _ratio(layer) in names]

    def ready(self) -> bool:
        return bool(self._with_updates())

    def data_key(self) -> Hashable:
        return (self.model.revision, self.chart.x_range)

    def draw_data(self) -> None:
        self._layers = self._with_updates()
        self.chart.set_extent(*self.model.extent)
        self.chart.grid.bands = [(*BAND, with_alpha(theme().tokens.good, 0.13))]
        self._load()
        order = sorted(range(len(self._layers)), key=lambda row: self._layers[row].name == self.model.picked)
        self.lines.show([self._stroke(row) for row in order])
        bad_columns = self._bad.any(axis=0) if len(self._bad) else np.zeros(0, bool)
        self.chart.marks.show(bad=self._steps[bad_columns] if len(self._steps) else np.zeros(0))
        found = finite_range(log10(self._ratios), 0.002, 0.998) or BAND
        self.chart.set_y_range(min(found[0], BAND[0]), max(found[1], BAND[1]))

    def _load(self) -> None:
        names = [_ratio(layer) for layer in self._layers]
        low, high = self.chart.x_range
        first, last = (int(low), int(high) + 1) if self.chart.user_zoomed else (None, None)
        edges, means, self._bad = self.model.facts.heat(names, first, last, min(self.chart.points_across() // 2, 400))
        self._steps, self._ratios = (edges[:-1] + edges[1:]) / 2, means

    def _stroke(self, row: int) -> Stroke:
        layer, picked = self._layers[row], self.model.picked
        color, width = depth_color(layer.index, layer.count), 1.4 if len(self._layers) <= MANY else 1.0
        if picked is not None:
            color, width = (color, 2.6) if layer.name == picked else (with_alpha(color.name(), 0.28), 1.0)
        return Stroke(layer.name, self._steps, log10(self._ratios[row]), QColor(color), width)

    def draw_head(self) -> None:
        self.chart.playhead.move(self.model.step)

    # mouse

    def _nearest(self, x: float, y: float) -> int | None:
        """The layer whose curve runs closest to a point, if it is near."""
        if not len(self._steps):
            return None
        column = int(np.clip(np.searchsorted(self._steps, x), 0, len(self._steps) - 1))
        away = np.abs(log10(self._ratios[:, column]) - y)
        if not np.isfinite(away).any():
            return None
        row = int(np.nanargmin(away))
        low, high = self.chart.view.viewRange()[1]
        pixels = away[row] / (high - low) * self.chart.view.rect().height()
        return row if pixels <= PICK_WITHIN_PX else None

    def _clicked(self, point: QPointF) -> None:
        row = self._nearest(point.x(), point.y())
        if row is not None and not self.chart.view.dragging and self._layers[row].name != self.model.picked:
            self.model.pick_layer(self._layers[row].name)
        self.model.seek(round(point.x()))

    def _hover(self, x: float, y: float) -> str:
        lines = [f"step {step_number(max(round(x), 0))}"]
        row = self._nearest(x, y)
        if row is not None:
            column = int(np.clip(np.searchsorted(self._steps, x), 0, len(self._steps) - 1))
            lines += [self._layers[row].name, f"update : weight  {short_number(self._ratios[row, column])}"]
        return "\n".join(lines)

    def curves(self) -> dict[str, np.ndarray]:
        return {"steps": self._steps, "ratios": self._ratios, "bad": self._bad}

    def table(self) -> Table:
        columns: Table = [("step", self._steps)]
        return columns + [(_ratio(layer), self._ratios[row]) for row, layer in enumerate(self._layers)]


def _ratio(layer: Layer) -> str:
    return f"update/{layer.weight}/ratio"
