"""Gradient flow: the norm of every layer over the steps as a heat map, and its profile over depth at the playhead."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF
from PyQt6.QtWidgets import QHBoxLayout

from convdebug_gui.controls import label
from convdebug_gui.curves import log10
from convdebug_gui.layers import Layer
from convdebug_gui.panels.base import Panel, Table
from convdebug_gui.plot_items import depth_color
from convdebug_gui.plotting import Chart
from convdebug_gui.row_items import Bars, HeatMap
from convdebug_gui.session_model import SessionModel
from convdebug_gui.ticks import finite_range, short_number, step_number

COLUMNS = 400


class GradientFlowPanel(Panel):
    name = "gradient-flow"
    title = "Gradient flow"
    waits_for = (
        "The size of each layer's gradient appears here, step by step: "
        "bright where the gradient is large, dark where little arrives."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        self.tools = [label("log₁₀ norm per layer", "caption")]
        self._layers: list[Layer] = []
        self._edges, self._means, self._bad = np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0))
        self._limits = (-4.0, 0.0)
        self._norms = np.zeros(0)
        self._build()

    def _build(self) -> None:
        self.chart = Chart(y_kind="names", left_width=64)
        self.bars_chart = Chart(x_kind="linear", left_width=2)
        self.heat = HeatMap(self.chart.view)
        self.bars = Bars(self.bars_chart.view)
        for chart in (self.chart, self.bars_chart):
            chart.grid.lines_shown = False
            chart.view.invertY(True)
        self.bars_chart.view.zoomable = False
        self.bars_chart.bottom.spacing_px = 34
        self.chart.hover_text, self.bars_chart.hover_text = self._hover, self._hover_bar
        self.chart.step_clicked.connect(self._clicked)
        self.chart.name_clicked.connect(self._picked_row)
        self.bars_chart.step_clicked.connect(self._clicked_bar)
        self.watch_zoom(self.chart)
        row = QHBoxLayout(self.body)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(2)
        row.addWidget(self.chart, 3)
        row.addWidget(self.bars_chart, 1)

    def _with_gradients(self) -> list[Layer]:
        names = self.model.facts.names
        return [layer for layer in self.model.shown_layers if layer.weight and _norm(layer) in names]

    def ready(self) -> bool:
        return bool(self._with_gradients())

    def data_key(self) -> Hashable:
        return (self.model.revision, self.chart.x_range)

    # drawing

    def draw_data(self) -> None:
        self._layers = self._with_gradients()
        self.chart.set_extent(*self.model.extent)
        self.chart.left.show_names([layer.short for layer in self._layers])
        for chart in (self.chart, self.bars_chart):
            chart.set_y_range(0, len(self._layers), 0.0)
        self._load()
        self._show_heat()

    def _load(self) -> None:
        facts, names = self.model.facts, [_norm(layer) for layer in self._layers]
        whole = facts.heat(names, None, None, COLUMNS)
        self._edges, self._means, self._bad = whole
        if self.chart.user_zoomed:
            low, high = self.chart.x_range
            self._edges, self._means, self._bad = facts.heat(names, int(low), int(high) + 1, COLUMNS)
        found = finite_range(log10(whole[1]), 0.02, 0.96)
        self._limits = found if found is not None and found[1] > found[0] + 0.5 else _widened(found)

    def _show_heat(self) -> None:
        low, high = self._limits
        shares = (log10(self._means) - low) / (high - low)
        shares = np.where(self._means == 0, 0.0, np.clip(shares, 0, 1))
        shares = np.where(np.isfinite(self._means), shares, np.nan)
        self.heat.show(self._edges, shares, self._bad > 0, self._picked())

    def draw_head(self) -> None:
        self.chart.playhead.move(self.model.step)
        self._norms = self.model.facts.values([_norm(layer) for layer in self._layers], self.model.step)
        low, high = self._limits
        finite = np.isfinite(self._norms)
        values = np.where(self._norms == 0, low, log10(self._norms))
        colors = [depth_color(layer.index, layer.count) for layer in self._layers]
        self.bars_chart.set_extent_of_values(low - 0.1 * (high - low), high + 0.05 * (high - low))
        measured = self.model.facts.value(_norm(self._layers[0]), self.model.step) is not None
        self.bars.show(values, colors, ~finite & measured, self._picked())

    def _picked(self) -> int | None:
        names = [layer.name for layer in self._layers]
        return names.index(self.model.picked) if self.model.picked in names else None

    # mouse

    def _clicked(self, point: QPointF) -> None:
        self.model.seek(round(point.x()))

    def _picked_row(self, y: object) -> None:
        self._pick(int(float(y)))  # type: ignore[arg-type]

    def _clicked_bar(self, point: QPointF) -> None:
        self._pick(int(point.y()))

    def _pick(self, row: int) -> None:
        if 0 <= row < len(self._layers):
            self.model.pick_layer(self._layers[row].name)

    def _hover(self, x: float, y: float) -> str:
        row, column = int(np.floor(y)), int(np.searchsorted(self._edges, x, side="right")) - 1
        if not (0 <= row < len(self._layers) and 0 <= column < self._means.shape[1]):
            return ""
        words = [self._layers[row].weight or "", f"step {step_number(max(round(x), 0))}"]
        words.append(f"norm {short_number(self._means[row, column])}")
        if self._bad[row, column]:
            words.append("not finite here")
        return "\n".join(words)

    def _hover_bar(self, _x: float, y: float) -> str:
        row = int(np.floor(y))
        if not 0 <= row < len(self._layers):
            return ""
        return f"{self._layers[row].weight}\nnorm {short_number(self._norms[row])}"

    def curves(self) -> dict[str, np.ndarray]:
        return {"edges": self._edges, "means": self._means, "bad": self._bad, "norms": self._norms}

    def table(self) -> Table:
        columns: Table = [("from step", self._edges[:-1])]
        return columns + [(_norm(layer), self._means[row]) for row, layer in enumerate(self._layers)]


def _norm(layer: Layer) -> str:
    return f"gradient/{layer.weight}/norm"


def _widened(found: tuple[float, float] | None) -> tuple[float, float]:
    if found is None:
        return -4.0, 0.0
    middle = sum(found) / 2
    return middle - 0.5, middle + 0.5
