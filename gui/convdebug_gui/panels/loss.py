"""The loss: every step faint, smoothed on top, validation as points, three times the first loss as a line."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QAction, QActionGroup, QColor
from PyQt6.QtWidgets import QHBoxLayout, QMenu, QSlider, QVBoxLayout, QWidget, QWidgetAction

from convdebug_gui.controls import IconButton, Legend, Switch, label
from convdebug_gui.curve_items import Stroke, Strokes
from convdebug_gui.curves import EMPTY, Curve, envelope, log10, means, nearest_index, smooth
from convdebug_gui.panels.base import Panel, Table, joined
from convdebug_gui.plot_items import Change, Level
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme, with_alpha
from convdebug_gui.ticks import duration, finite_range, short_number, step_number
from convdebug_gui.x_scale import KINDS, XScale, x_scale
from convdebug_sessions import Event

SMOOTHINGS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
VALIDATION_DOTS_UP_TO = 80


class LossPanel(Panel):
    name = "loss"
    title = "Loss"
    waits_for = "The loss of every step appears here as soon as the training has made its first step."

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        self.scale = Switch(["log", "linear"], ["logarithmic loss axis", "linear loss axis"])
        self.smoothing = SMOOTHINGS.index(10)
        self.x_kind = "steps"
        self.legend = Legend([("train", "accent")])
        self.settings = IconButton("faders-horizontal", "Smoothing, and what stands on the x axis")
        self.tools = [self.legend, self.scale, self.settings]
        self.scale.chosen.connect(self.forget_drawn)
        self.settings.clicked.connect(self._open_settings)
        self._raw = self._train = self._validation = EMPTY
        self._x = XScale()
        self._build()

    def _build(self) -> None:
        self.chart = Chart(y_kind="log")
        self.raw_line = Strokes(self.chart.view, 5)
        self.lines = Strokes(self.chart.view, 20)
        self.chart.hover_text = self._hover
        self.chart.step_clicked.connect(self._clicked)
        self.watch_zoom(self.chart)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(4, 0, 4, 0)
        column.addWidget(self.chart)

    def ready(self) -> bool:
        return "train/loss" in self.model.facts.names

    def data_key(self) -> Hashable:
        return (self.model.revision, self.scale.choice, self.smoothing, self.x_kind, self.chart.x_range)

    # drawing

    def draw_data(self) -> None:
        facts = self.model.facts
        self._x = x_scale(facts, self.x_kind)
        self.chart.bottom.set_kind(self._x.axis_kind)
        self.chart.left.set_kind("log" if self.scale.choice == "log" else "linear")
        first, last = facts.extent
        self.chart.set_extent(float(self._x.x(first)), float(self._x.x(last)))
        low, high = (self._x.step(x) for x in self.chart.x_range)
        self._load(low, high)
        self._show(low, high)

    def _load(self, low: float, high: float) -> None:
        facts, points = self.model.facts, self.chart.points_across()
        whole = not self.chart.user_zoomed
        forgets = SMOOTHINGS[self.smoothing]
        lead = None if whole else max(int(low - 4 * forgets) - 1, 0)
        begin, end = (None, None) if whole else (max(int(low) - 1, 0), int(high) + 2)
        self._raw = envelope(facts.buckets("train/loss", begin, end, points))
        self._train = smooth(means(facts.buckets("train/loss", lead, end, points)), forgets)
        known = "val/loss" in facts.names
        self._validation = means(facts.buckets("val/loss", begin, end, points)) if known else EMPTY

    def _show(self, low: float, high: float) -> None:
        tokens, accent = theme().tokens, QColor(theme().tokens.accent)
        smoothed = SMOOTHINGS[self.smoothing] > 0
        faint = with_alpha(tokens.accent, 0.38) if smoothed else accent
        self.raw_line.show([self._stroke("raw", self._raw, faint, 1.0)])
        strokes = [self._stroke("train", self._train, accent, 2.0)] if smoothed else []
        if len(self._validation):
            dots = len(self._validation) <= VALIDATION_DOTS_UP_TO
            width = 3.0 if dots else 1.6
            strokes.append(self._stroke("val", self._validation, QColor(tokens.validation), width, dots=dots))
        self.lines.show(strokes)
        names = [("train", "accent")] + ([("validation", "validation")] if len(self._validation) else [])
        self.legend.show_entries(names)
        self._show_marks()
        self._fit(low, high)

    def _stroke(self, name: str, curve: Curve, color: QColor, width: float, *, dots: bool = False) -> Stroke:
        return Stroke(name, self._x.x(curve.steps), self._y(curve.values), color, width, dots)

    def _y(self, values: np.ndarray) -> np.ndarray:
        if self.scale.choice == "linear":
            return values
        positive = values[np.isfinite(values) & (values > 0)]
        if len(positive):  # what is not above zero lies on the bottom edge of a log axis
            values = np.where(values <= 0, positive.min(), values)
        return log10(values)

    def _first_loss(self) -> float | None:
        return self.model.facts.value("train/loss", self.model.extent[0])

    def _show_marks(self) -> None:
        first, levels = self._first_loss(), []
        if first is not None and np.isfinite(first) and first > 0:
            level = float(self._y(np.array([3 * first]))[0])
            levels.append(Level(level, "3 × first loss", theme().tokens.error))
        bad = np.concatenate([self._raw.bad, self._validation.bad])
        changes = [Change(float(self._x.x(event.step or 0)), change_words(event)) for event in self._changes()]
        self.chart.marks.show(levels=levels, changes=changes, bad=self._x.x(bad))

    def _changes(self) -> list[Event]:
        events = self.model.facts.events("change")
        few = [event for event in events if event.data.get("by") != "schedule"]
        return events if len(events) <= 40 else few

    def _fit(self, low: float, high: float) -> None:
        inside = (self._raw.steps >= low) & (self._raw.steps <= high)
        values = np.concatenate([self._raw.values[inside], self._validation.values])
        found = finite_range(self._y(values))
        if found is None:
            return
        first = self._first_loss()
        if first is not None and first > 0 and np.nanmax(np.where(np.isfinite(values), values, 0)) > 2 * first:
            found = found[0], max(found[1], float(self._y(np.array([3 * first]))[0]))
        self.chart.set_y_range(*found)

    def draw_head(self) -> None:
        self.chart.playhead.move(float(self._x.x(self.model.step)))

    # mouse and menus

    def _clicked(self, point: QPointF) -> None:
        self.model.seek(round(self._x.step(point.x())))

    def _hover(self, x: float, _y: float) -> str:
        step = self._x.step(x)
        lines = [f"step {step_number(max(round(step), 0))}"]
        if self._x.kind == "time":
            lines[0] += f" · {duration(x)}"
        for name, curve in (("loss", self._raw), ("smoothed", self._train), ("validation", self._validation)):
            index = nearest_index(curve.steps, step)
            if index is not None and (name != "smoothed" or SMOOTHINGS[self.smoothing] > 0):
                lines.append(f"{name}  {short_number(curve.values[index])}")
        if len(self._raw.bad) and np.min(np.abs(self._raw.bad - step)) <= self._step_of_a_pixel():
            lines.append("not finite here")
        near = (event for event in self._changes() if abs((event.step or 0) - step) < 3 * self._step_of_a_pixel())
        lines += [change_words(event) for event in near]
        return "\n".join(lines)

    def _step_of_a_pixel(self) -> float:
        low, high = (self._x.step(x) for x in self.chart.x_range)
        return max((high - low) / self.chart.points_across(), 1.0)

    def _open_settings(self) -> None:
        menu = self.settings_menu()
        menu.popup(self.settings.mapToGlobal(self.settings.rect().bottomLeft()))

    def settings_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        slider = QWidgetAction(menu)
        slider.setDefaultWidget(self._smoothing_row())
        menu.addAction(slider)
        menu.addSeparator()
        group = QActionGroup(menu)
        for kind, words in zip(KINDS, ("Steps on x", "Epochs on x", "Wall time on x"), strict=True):
            action = QAction(words, group, checkable=True, checked=kind == self.x_kind)  # type: ignore[call-overload]
            action.setData(kind)
            menu.addAction(action)
        group.triggered.connect(self._choose_x)
        return menu

    def _smoothing_row(self) -> QWidget:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(12, 6, 12, 6)
        self._smoothing_words = label(_smoothing_words(self.smoothing), "caption")
        self._smoothing_words.setMinimumWidth(theme().pixels(140))
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, len(SMOOTHINGS) - 1)
        slider.setValue(self.smoothing)
        slider.setToolTip("Over how many steps the loss is smoothed")
        slider.valueChanged.connect(self.set_smoothing)
        slider.setMinimumWidth(theme().pixels(120))
        line.addWidget(self._smoothing_words)
        line.addWidget(slider)
        return row

    def set_smoothing(self, index: int) -> None:
        self.smoothing = index
        self._smoothing_words.setText(_smoothing_words(index))
        self.forget_drawn()

    def _choose_x(self, action: QAction) -> None:
        self.choose_x(str(action.data()))

    def choose_x(self, kind: str) -> None:
        """`steps`, `epochs` or `time` on x."""
        self.x_kind = kind
        self.chart.user_zoomed = False
        self.forget_drawn()

    def curves(self) -> dict[str, Curve]:
        return {"raw": self._raw, "train": self._train, "validation": self._validation}

    def table(self) -> Table:
        return joined([(name, curve.steps, curve.values) for name, curve in self.curves().items()])


def _smoothing_words(index: int) -> str:
    return f"Smoothed over {SMOOTHINGS[index]} steps" if SMOOTHINGS[index] else "Not smoothed"


def change_words(event: Event) -> str:
    """optimizer.lr 0.1 → 0.01"""
    old, new = (event.data.get(key) for key in ("old", "new"))
    words = [short_number(value) if isinstance(value, (int, float)) else str(value) for value in (old, new)]
    return f"{event.data.get('key', 'change')} {words[0]} → {words[1]}"
