"""The panels of the window, each drawing one aspect of a run; the list gives their order and places."""

from __future__ import annotations

from convdebug_gui.panels.accuracy import AccuracyPanel
from convdebug_gui.panels.activations import ActivationsPanel
from convdebug_gui.panels.base import Panel
from convdebug_gui.panels.gradient_flow import GradientFlowPanel
from convdebug_gui.panels.loss import LossPanel
from convdebug_gui.panels.pictures import PicturesPanel
from convdebug_gui.panels.updates import UpdatesPanel

PANELS: tuple[type[Panel], ...] = (
    LossPanel,
    AccuracyPanel,
    ActivationsPanel,
    GradientFlowPanel,
    UpdatesPanel,
    PicturesPanel,
)
