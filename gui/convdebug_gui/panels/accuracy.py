"""Accuracy in training and validation, and the gap between them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QVBoxLayout

from convdebug_gui.controls import Legend, label
from convdebug_gui.curve_items import Gap, Stroke, Strokes
from convdebug_gui.curves import EMPTY, Curve, means, nearest_index, smooth
from convdebug_gui.panels.base import Panel, Table, joined
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme, with_alpha
from convdebug_gui.ticks import MINUS, short_number, step_number

SMOOTHED_OVER = 20
DOTS_UP_TO = 60


class AccuracyPanel(Panel):
    name = "accuracy"
    title = "Accuracy"
    waits_for = (
        "Accuracy appears here: of the training batches as they go by, of the validation set after each epoch, "
        "and the gap between the two."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        self.legend = Legend()
        self.gap_words = label("", "caption")
        self.tools = [self.legend, self.gap_words]
        self._raw = self._train = self._validation = EMPTY
        self.chart = Chart()
        self.chart.left.suffix = " %"
        self.gap = Gap(self.chart.view)
        self.raw_line = Strokes(self.chart.view, 5)
        self.lines = Strokes(self.chart.view, 20)
        self.chart.hover_text = self._hover
        self.chart.step_clicked.connect(self._clicked)
        self.watch_zoom(self.chart)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(4, 0, 4, 0)
        column.addWidget(self.chart)

    def ready(self) -> bool:
        return bool({"train/accuracy", "val/accuracy"} & self.model.facts.names)

    def data_key(self) -> Hashable:
        return (self.model.revision, self.chart.x_range)

    def draw_data(self) -> None:
        self.chart.set_extent(*self.model.extent)
        self._load()
        tokens = theme().tokens
        self.raw_line.show([_stroke("raw", self._raw, with_alpha(tokens.accent, 0.22), 1.0)])
        strokes = [_stroke("train", self._train, QColor(tokens.accent), 2.0)]
        if len(self._validation):
            strokes.append(_stroke("val", self._validation, QColor(tokens.validation), 2.0))
        if 0 < len(self._validation) <= DOTS_UP_TO:
            strokes.append(_stroke("val points", self._validation, QColor(tokens.validation), 3.0, dots=True))
        self.lines.show(strokes)
        self._show_gap()
        self.chart.marks.show(bad=np.concatenate([self._raw.bad, self._validation.bad]))
        self.chart.set_y_range(0, 100, 0.04)
        entries = (("train", "accent", self._train), ("validation", "validation", self._validation))
        self.legend.show_entries([(name, color) for name, color, curve in entries if len(curve)])

    def _load(self) -> None:
        facts, points = self.model.facts, self.chart.points_across()
        low, high = self.chart.x_range
        first, last = (max(int(low) - 1, 0), int(high) + 2) if self.chart.user_zoomed else (None, None)
        self._raw = self._train = self._validation = EMPTY
        if "train/accuracy" in facts.names:
            self._raw = means(facts.buckets("train/accuracy", first, last, points))
            self._train = smooth(self._raw, SMOOTHED_OVER)
        if "val/accuracy" in facts.names:
            self._validation = means(facts.buckets("val/accuracy", first, last, points))

    def _show_gap(self) -> None:
        validation, train = self._validation, self._train
        if len(validation) < 2 or len(train) < 2:
            self.gap.show(np.zeros(0), np.zeros(0), np.zeros(0), QColor())
            return
        known = np.isfinite(validation.values)
        inside = train.steps >= validation.steps[known][0] if known.any() else np.zeros(len(train), bool)
        inside &= train.steps <= validation.steps[-1]
        below = (
            np.interp(train.steps, validation.steps[known], validation.values[known]) if known.any() else train.values
        )
        color = with_alpha(theme().tokens.validation, 0.12)
        self.gap.show(train.steps[inside], 100 * below[inside], 100 * train.values[inside], color)

    def draw_head(self) -> None:
        self.chart.playhead.move(self.model.step)
        gap = self._gap_at(self.model.step)
        self.gap_words.setText("" if gap is None else f"gap {100 * gap:.1f} points".replace("-", MINUS))
        self.gap_words.setVisible(gap is not None)

    def _gap_at(self, step: int) -> float | None:
        """Training above validation at the last validation at or before a step."""
        index = int(np.searchsorted(self._validation.steps, step, side="right")) - 1
        if index < 0 or not len(self._train):
            return None
        train = np.interp(self._validation.steps[index], self._train.steps, self._train.values)
        gap = float(train - self._validation.values[index])
        return gap if np.isfinite(gap) else None

    def _clicked(self, point: QPointF) -> None:
        self.model.seek(round(point.x()))

    def _hover(self, x: float, _y: float) -> str:
        lines = [f"step {step_number(max(round(x), 0))}"]
        for name, curve in (("train", self._train), ("validation", self._validation)):
            index = nearest_index(curve.steps, x)
            if index is not None:
                lines.append(f"{name}  {short_number(100 * curve.values[index])} %")
        return "\n".join(lines)

    def curves(self) -> dict[str, Curve]:
        return {"raw": self._raw, "train": self._train, "validation": self._validation}

    def table(self) -> Table:
        return joined([(name, curve.steps, curve.values) for name, curve in self.curves().items()])


def _stroke(name: str, curve: Curve, color: QColor, width: float, *, dots: bool = False) -> Stroke:
    return Stroke(name, curve.steps, 100 * curve.values, color, width, dots)
