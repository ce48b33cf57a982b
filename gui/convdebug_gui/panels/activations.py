"""Activations at the playhead: a histogram per layer as a ridge, or mean ± standard deviation over depth."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QHBoxLayout

from convdebug_gui.controls import Switch, label
from convdebug_gui.curves import log10
from convdebug_gui.depth_items import Histogram, Profile, Ridge, common_range, histograms_from
from convdebug_gui.layers import Layer
from convdebug_gui.panels.base import Panel, Table
from convdebug_gui.plot_items import depth_color
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.ticks import finite_range, short_number, step_number
from convdebug_sessions import BlobRef

KIND = "activation-histograms"
EMPTY_HISTOGRAM = Histogram(np.nan, np.nan, np.zeros(1))


class ActivationsPanel(Panel):
    name = "activations"
    title = "Activations"
    waits_for = (
        "A histogram of each layer's activations appears here, from the first layer at the top to the last, "
        "as soon as the training has been measured once."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        self.step_words = label("", "caption")
        self.switch = Switch(["histograms", "mean ± std"], ["a histogram per layer", "mean and spread over depth"])
        self.switch.chosen.connect(self.forget_drawn)
        self.tools = [self.step_words, self.switch]
        self._layers: list[Layer] = []
        self._histograms: list[Histogram] = []
        self._mean = self._std = np.zeros(0)
        self._build()

    def _build(self) -> None:
        self.ridge_chart = Chart(x_kind="linear", y_kind="names", left_width=64)
        self.ridge_chart.grid.lines_shown = False
        self.ridge_chart.view.zoomable = False
        self.ridge_chart.view.invertY(True)
        self.ridge = Ridge(self.ridge_chart.view)
        self.profile_chart = Chart(x_kind="depth", left_width=36)
        self.profile_chart.view.zoomable = False
        self.profile = Profile(self.profile_chart.view)
        self.ridge_chart.hover_text = self._hover_ridge
        self.profile_chart.hover_text = self._hover_profile
        self.ridge_chart.step_clicked.connect(self._clicked_row)
        self.ridge_chart.name_clicked.connect(self._picked_row)
        self.profile_chart.step_clicked.connect(self._clicked_profile)
        row = QHBoxLayout(self.body)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(4)
        row.addWidget(self.ridge_chart, 2)
        row.addWidget(self.profile_chart, 1)

    def ready(self) -> bool:
        names = self.model.facts.names
        return any(f"activation/{layer.name}/std" in names for layer in self.model.layers) or self._blob() is not None

    def _blob(self) -> BlobRef | None:
        """The histograms at the playhead; before the first ones were taken, those."""
        found = self.model.facts.blob(KIND, self.model.step)
        return found or next(iter(self.model.facts.blobs(KIND)), None)

    def data_key(self) -> Hashable:
        return (self.switch.choice, self.model.run.id if self.model.run else None, len(self.model.shown_layers))

    def head_key(self) -> Hashable:
        blob = self._blob() if self.model.run is not None else None
        return (blob.id if blob is not None else None, self.model.step, self.model.revision)

    # drawing

    def draw_head(self) -> None:
        self._layers = self._measured_layers()
        self._load()
        histograms = self.switch.choice == "histograms" and any(not entry.bad for entry in self._histograms)
        self.ridge_chart.setVisible(histograms)
        if histograms:
            self._show_ridge()
        self._show_profile(std_only=histograms)
        self.step_words.setText(f"step {step_number(self._step_shown())}")

    def _measured_layers(self) -> list[Layer]:
        names, blob = self.model.facts.names, self._blob()
        in_blob = set(blob.names) if blob is not None else set()
        return [
            layer
            for layer in self.model.shown_layers
            if layer.name in in_blob or f"activation/{layer.name}/std" in names
        ]

    def _load(self) -> None:
        facts, step, blob = self.model.facts, self.model.step, self._blob()
        self._mean = facts.values([f"activation/{layer.name}/mean" for layer in self._layers], step)
        self._std = facts.values([f"activation/{layer.name}/std" for layer in self._layers], step)
        rows = dict(zip(blob.names, histograms_from(facts.array(blob)), strict=False)) if blob is not None else {}
        self._histograms = [rows.get(layer.name, EMPTY_HISTOGRAM) for layer in self._layers]

    def _step_shown(self) -> int:
        blob = self._blob()
        return blob.step if blob is not None and self.switch.choice == "histograms" else self.model.step

    def _colors(self) -> list[QColor]:
        return [depth_color(layer.index, layer.count) for layer in self._layers]

    def _picked(self) -> int | None:
        names = [layer.name for layer in self._layers]
        return names.index(self.model.picked) if self.model.picked in names else None

    def _show_ridge(self) -> None:
        low, high, unit = common_range(self._histograms)
        if unit is not None:
            low, high = float(np.arcsinh(low / unit)), float(np.arcsinh(high / unit))
        pad = 0.02 * (high - low)
        chart = self.ridge_chart
        chart.left.show_names([layer.short for layer in self._layers])
        chart.bottom.show_unit(unit)
        chart.set_extent_of_values(low - pad, high + pad)
        chart.set_y_range(-0.55, len(self._layers), 0.0)
        self.ridge.show(self._histograms, self._colors(), unit, self._picked())

    def _show_profile(self, *, std_only: bool) -> None:
        chart, std, mean = self.profile_chart, self._std, self._mean
        chart.set_extent_of_values(0.5, len(self._layers) + 0.5)
        if std_only:
            spread = finite_range(std[std > 0])
            wide = spread is not None and spread[1] > 100 * spread[0]
            values = log10(std) if wide else std
            chart.left.set_kind("log" if wide else "linear")
            found = finite_range(values) or (0.0, 1.0)
            chart.set_y_range(found[0] if wide else 0.0, found[1])
            self.profile.show(values, self._colors(), self._picked())
            return
        chart.left.set_kind("linear")
        found = finite_range(np.concatenate([mean - std, mean + std])) or (0.0, 1.0)
        chart.set_y_range(*found)
        self.profile.show(mean, self._colors(), self._picked(), mean - std, mean + std)

    # mouse

    def _clicked_row(self, point: QPointF) -> None:
        self._pick(int(np.floor(point.y() + 0.2)))

    def _picked_row(self, y: object) -> None:
        self._pick(int(float(y)))  # type: ignore[arg-type]

    def _clicked_profile(self, point: QPointF) -> None:
        self._pick(round(point.x()) - 1)

    def _pick(self, row: int) -> None:
        if 0 <= row < len(self._layers):
            self.model.pick_layer(self._layers[row].name)

    def _hover_ridge(self, _x: float, y: float) -> str:
        return self._words(int(np.floor(y + 0.2)))

    def _hover_profile(self, x: float, _y: float) -> str:
        return self._words(round(x) - 1)

    def _words(self, row: int) -> str:
        if not 0 <= row < len(self._layers):
            return ""
        layer, facts, step = self._layers[row], self.model.facts, self.model.step
        lines = [f"{layer.name}  {layer.kind}".strip()]
        lines.append(f"mean {short_number(self._mean[row])}   std {short_number(self._std[row])}")
        for words, key in (("zeros", "zero_fraction"), ("saturated", "saturated_fraction")):
            share = facts.value(f"activation/{layer.name}/{key}", step)
            if share is not None and share > 0:
                lines.append(f"{words} {100 * share:.0f} %")
        return "\n".join(lines)

    def curves(self) -> dict[str, np.ndarray]:
        return {"mean": self._mean, "std": self._std, "counts": np.array([h.counts.sum() for h in self._histograms])}

    def table(self) -> Table:
        names = np.array([layer.name for layer in self._layers])
        columns: Table = [("layer", names), ("mean", self._mean), ("std", self._std)]
        for layer, histogram in zip(self._layers, self._histograms, strict=True):
            if not histogram.bad:
                columns += [(f"{layer.name} value", histogram.centres), (f"{layer.name} count", histogram.counts)]
        return columns
