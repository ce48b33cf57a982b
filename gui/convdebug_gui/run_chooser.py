"""Chooses which run of the session is in view, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QMenu, QToolButton

from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme
from convdebug_gui.ticks import step_number
from convdebug_sessions import Run

FOLDED_FROM = 5
KINDS = {
    "train": "Trainings", "watch": "Watched scripts", "branch": "Branches", "check": "Checks", "sweep": "Sweeps",
    "trial": "Trials",
}  # fmt: skip


class RunChooser(QToolButton):
    """A button that says which run is in view and opens the list of all."""

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.setProperty("role", "chooser")
        self.setToolTip("Choose the run in view")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self._menu = QMenu(self)
        self._menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self._menu.aboutToShow.connect(self._fill)
        self._menu.triggered.connect(self._chosen)
        self.setMenu(self._menu)
        for signal in (model.session_changed, model.run_changed, model.runs_changed):
            signal.connect(self.refresh)
        theme().changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        run = self.model.run
        self.setText(run_title(run) if run is not None else "no run yet")
        self.setVisible(self.model.session is not None)
        self.setIcon(theme().icon("caret-down", "dim"))

    def _fill(self) -> None:
        self._menu.clear()
        for kind in dict.fromkeys([*KINDS, *(run.kind for run in self.model.runs)]):
            runs = [run for run in self.model.runs if run.kind == kind]
            if len(runs) >= FOLDED_FROM:
                inner = self._menu.addMenu(f"{KINDS.get(kind, kind)} ({len(runs)})")
                assert inner is not None
                self._add(inner, runs)
            else:
                self._add(self._menu, runs)

    def _add(self, menu: QMenu, runs: Sequence[Run]) -> None:
        for run in runs:
            action = QAction(run_line(run), menu)
            action.setCheckable(True)
            action.setChecked(self.model.run is not None and run.id == self.model.run.id)
            action.setData(run.id)
            menu.addAction(action)

    def _chosen(self, action: QAction) -> None:
        self.model.choose_run(int(action.data()))

    def menu_of_runs(self) -> QMenu:
        self._fill()
        return self._menu


def run_title(run: Run) -> str:
    """vgg-bn · cifar10 · run 3"""
    config: Mapping[str, Any] = run.config or {}
    parts = [_chosen_name(config, "model"), _chosen_name(config, "data") or (run.info.get("data") or {}).get("name")]
    known = [str(part) for part in parts if part] or [run.name or str(run.info.get("target") or run.kind)]
    what = {"check": "check ", "trial": "trial ", "branch": "branch ", "sweep": "sweep "}.get(run.kind, "run ")
    return " · ".join([*known, f"{what}{run.id}"])


def _chosen_name(config: Mapping[str, Any], part: str) -> str | None:
    nested = config.get(part)
    return nested.get("name") if isinstance(nested, dict) else config.get(f"{part}.name")


def run_line(run: Run) -> str:
    """run 3 · vgg-bn, 704 steps, finished"""
    name = run.name or str(run.info.get("target") or "")
    beginning = f"{run.kind} {run.id}" + (f" · {name}" if name else "")
    return f"{beginning}   {step_number(run.steps)} steps, {run.status}".replace("&", "&&")
