"""The learning-rate sweep: final loss against rate with its spread over seeds, and the suggested rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PyQt6.QtCore import QPointF, QRectF
from PyQt6.QtGui import QColor, QPainter
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from convdebug_gui.curve_items import Gap, Stroke, Strokes
from convdebug_gui.curves import log10
from convdebug_gui.panels.base import Table
from convdebug_gui.plot_items import Overlay, crisp_pen
from convdebug_gui.plotting import Chart
from convdebug_gui.reading import rate_of
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme, with_alpha
from convdebug_gui.ticks import finite_range, short_number
from convdebug_sessions import Run


@dataclass(frozen=True)
class Trial:
    """One training of the sweep; its loss is NaN where it diverged."""

    run: int
    rate: float
    seed: int
    loss: float
    diverged: bool
    steps: int


class Suggestion(Overlay):
    """A vertical line at the suggested rate with the rate beside it."""

    def __init__(self, view) -> None:
        super().__init__(view, 40)
        self.rate: float | None = None

    def show(self, rate: float | None) -> None:
        self.rate = rate
        self.update()

    def paint(self, painter: QPainter, *_args: object) -> None:
        if self.rate is None or self.rate <= 0:
            return
        x, height = round(self.x_pixel(math.log10(self.rate))) + 0.5, self.view.rect().height()
        painter.setPen(crisp_pen(theme().tokens.good, 1.5))
        painter.drawLine(QPointF(x, 0), QPointF(x, height))
        painter.setFont(theme().font("caption"))
        painter.drawText(QRectF(x + 6, 0, 200, theme().pixels(16)), f"try {short_number(self.rate, 2)}")


class SweepView(QWidget):
    waits_for = (
        "Run a rate sweep to see here which learning rates do nothing, which learn and which diverge, "
        "with their spread over seeds and a suggestion."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.trials: list[Trial] = []
        self.longer: list[Trial] = []
        """Those that had more steps than the others, to decide which rate to suggest."""
        self._known: dict[tuple[int, str, int], Trial | None] = {}
        self.chart = Chart(x_kind="log", y_kind="log")
        self.chart.view.zoomable = False
        self.spread = Gap(self.chart.view)
        self.lines = Strokes(self.chart.view)
        self.suggestion = Suggestion(self.chart.view)
        self.chart.hover_text = self._hover
        self.chart.step_clicked.connect(self._clicked)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.addWidget(self.chart)

    def _sweep(self) -> Run | None:
        """The newest run that has trials: a sweep of its own, or a check that made one."""
        parents = {run.parent for run in self.model.runs if run.kind == "trial"}
        return next((run for run in reversed(self.model.runs) if run.id in parents), None)

    def ready(self) -> bool:
        return self._sweep() is not None and bool(self._trials())

    def data_key(self) -> Hashable:
        return self.model.revision

    def head_key(self) -> Hashable:
        return None

    def detail(self) -> str:
        found = self._suggestion()
        return f"try {short_number(found, 2)}" if found else ""

    def _suggestion(self) -> float | None:
        found = self.model.facts.keep("suggestion", self._told_suggestion)
        rate = found.get("lr")
        return float(rate) if isinstance(rate, (int, float)) and rate > 0 else None

    def _told_suggestion(self) -> dict[str, Any]:
        sweep, session = self._sweep(), self.model.session
        if sweep is None or session is None:
            return {}
        for event in reversed(session.events(sweep.id, ["sweep", "check"])):
            told = event.data.get("suggestion") or (event.data.get("measured") or {}).get("suggestion")
            if isinstance(told, dict):
                return told
        return {}

    def _trials(self, longer: bool = False) -> list[Trial]:
        sweep = self._sweep()
        runs = [run for run in self.model.runs if sweep is not None and run.parent == sweep.id and run.kind == "trial"]
        found = [self._trial(run) for run in runs if bool(run.info.get("longer")) is longer]
        return sorted((trial for trial in found if trial is not None), key=lambda trial: trial.rate)

    def _trial(self, run: Run) -> Trial | None:
        key = (run.id, run.status, run.steps)
        if key not in self._known:
            self._known[key] = self._measure(run)
        return self._known[key]

    def _measure(self, run: Run) -> Trial | None:
        rate, session = rate_of(run), self.model.session
        if rate is None or rate <= 0 or session is None or run.steps < 1:
            return None
        last = session.buckets("train/loss", run.id, max(run.steps - 10, 0), run.steps, 10)
        finite = last.mean[np.isfinite(last.mean)]
        told = (run.reason or "").startswith("diverged")
        diverged = told or bool(np.any(last.bad > 0)) or not len(finite)
        loss = float("nan") if diverged or not len(finite) else float(finite.mean())
        return Trial(run.id, rate, seed_of(run), loss, diverged, run.steps)

    # drawing

    def draw_data(self) -> None:
        self.trials, self.longer = self._trials(), self._trials(longer=True)
        rates, losses = _places(self.trials)
        further = _places(self.longer)
        self.chart.set_extent_of_values(rates.min() - 0.3, rates.max() + 0.3)
        self.chart.set_y_range(*(finite_range(np.concatenate([losses, further[1]])) or (-1.0, 1.0)), 0.12)
        self._show_spread(rates, losses)
        good = QColor(theme().tokens.good)
        lines = [*_strokes("trials", rates, losses, QColor(theme().tokens.accent)), *_strokes("longer", *further, good)]
        self.lines.show(lines)
        self.suggestion.show(self._suggestion())
        self.chart.marks.show(bad=rates[[trial.diverged for trial in self.trials]])

    def _show_spread(self, rates: np.ndarray, losses: np.ndarray) -> None:
        xs, low = _by_rate(rates, losses, np.min)
        self.spread.show(xs, low, _by_rate(rates, losses, np.max)[1], with_alpha(theme().tokens.accent, 0.16))

    def draw_head(self) -> None:
        self.update()

    def _nearest(self, x: float) -> Trial | None:
        return min(self.trials, key=lambda trial: abs(math.log10(trial.rate) - x), default=None)

    def _clicked(self, point: QPointF) -> None:
        trial = self._nearest(point.x())
        if trial is not None:
            self.model.choose_run(trial.run)

    def _hover(self, x: float, _y: float) -> str:
        trial = self._nearest(x)
        if trial is None:
            return ""
        lines = [f"rate {short_number(trial.rate)}", f"final loss {_losses_at(trial.rate, self.trials)}"]
        further = _losses_at(trial.rate, self.longer)
        if further:
            lines.append(f"after {max(other.steps for other in self.longer)} steps {further}")
        return "\n".join([*lines, "click to open the run"])

    def table(self) -> Table:
        columns = ("rate", "seed", "steps", "loss", "run")
        trials = [*self.trials, *self.longer]
        return [(name, np.array([getattr(trial, name) for trial in trials])) for name in columns]


def _places(trials: list[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Rates and losses, as they lie on the axes."""
    return log10(np.array([trial.rate for trial in trials])), log10(np.array([trial.loss for trial in trials]))


def _by_rate(
    rates: np.ndarray, losses: np.ndarray, reduce: Callable[[np.ndarray], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Each rate once, and what its losses come to; NaN where all trials diverged."""
    xs = np.unique(rates)
    groups = [losses[(rates == x) & np.isfinite(losses)] for x in xs]
    return xs, np.array([reduce(group) if len(group) else np.nan for group in groups])


def _strokes(name: str, rates: np.ndarray, losses: np.ndarray, colour: QColor) -> list[Stroke]:
    """The mean over seeds as a line, the trials as dots on it."""
    middle = Stroke(f"mean of {name}", *_by_rate(rates, losses, np.mean), colour, 2.0)
    return [middle, Stroke(name, rates, losses, colour, 3.0, dots=True)] if len(rates) else []


def _losses_at(rate: float, trials: list[Trial]) -> str:
    same = [trial for trial in trials if trial.rate == rate]
    return ", ".join("diverged" if trial.diverged else short_number(trial.loss) for trial in same)


def seed_of(run: Run) -> int:
    """The seed of a trial, 0 where it tells none."""
    config = run.config or {}
    nested = config.get("train")
    places = (run.info.get("seed"), config.get("train.seed"), nested.get("seed") if isinstance(nested, dict) else None)
    return next((int(value) for value in places if isinstance(value, int)), 0)
