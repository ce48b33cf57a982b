"""Filters of the first layer, predictions on the fixed batch, and the learning-rate sweep: one panel, a switch."""

from __future__ import annotations

from collections.abc import Hashable

from PyQt6.QtWidgets import QStackedLayout

from convdebug_gui.controls import Switch
from convdebug_gui.panels.base import Panel, Table
from convdebug_gui.panels.filters import FiltersView
from convdebug_gui.panels.predictions import PredictionsView
from convdebug_gui.panels.sweep import SweepView
from convdebug_gui.session_model import SessionModel

VIEWS: dict[str, type[FiltersView | PredictionsView | SweepView]] = {
    "filters": FiltersView,
    "predictions": PredictionsView,
    "sweep": SweepView,
}


class PicturesPanel(Panel):
    name = "pictures"
    title = "Filters"

    def __init__(self, model: SessionModel) -> None:
        super().__init__(model)
        tips = [
            "weights of the first layer",
            "what the network says of eight fixed pictures",
            "final loss against rate",
        ]
        self.switch = Switch(list(VIEWS), tips)
        self.tools = self.lasting_tools = [self.switch]
        self.views: dict[str, FiltersView | PredictionsView | SweepView] = {}
        for name, view in VIEWS.items():
            self.views[name] = view(model)
        self.stack = QStackedLayout(self.body)
        for shown in self.views.values():
            self.stack.addWidget(shown)
        self.switch.chosen.connect(self._chosen)
        model.run_changed.connect(self._turn_to_what_is_there)
        self._chosen()

    @property
    def view(self) -> FiltersView | PredictionsView | SweepView:
        return self.views[self.switch.choice]

    def _chosen(self) -> None:
        self.stack.setCurrentWidget(self.view)
        self.waits_for = self.view.waits_for
        self._say(self.waits_for)
        self.title_changed.emit()
        self.forget_drawn()

    def _turn_to_what_is_there(self) -> None:
        """A run that has none of what is in view, such as a sweep without filters, shows what it has."""
        if self.model.run is None or self.model.live or self.view.ready():
            return
        there = next((name for name, view in self.views.items() if view.ready()), None)
        if there is not None:
            self.switch.choose(there)

    @property
    def never_came(self) -> str:
        if self.switch.choice == "sweep":
            return self.waits_for  # a sweep may still be made, in any session
        return f"This run has ended and recorded no {self.switch.choice} of its network."

    def full_title(self) -> str:
        words = self.view.detail() if self.model.run is not None else ""
        name = {"filters": "Filters", "predictions": "Predictions", "sweep": "Rate sweep"}[self.switch.choice]
        return f"{name} · {words}" if words else name

    def ready(self) -> bool:
        return self.view.ready()

    def data_key(self) -> Hashable:
        return (self.switch.choice, self.view.data_key())

    def head_key(self) -> Hashable:
        return self.view.head_key() if self.model.run is not None else None

    def draw_data(self) -> None:
        self.view.draw_data()
        self.title_changed.emit()

    def draw_head(self) -> None:
        self.view.draw_head()
        self.title_changed.emit()

    def table(self) -> Table:
        return self.view.table()
