"""The instruments: what is measured at a step, one file each, in the order in which the budget is spent."""

from __future__ import annotations

from .activations import ActivationHistograms, Activations
from .gradients import GradientHistograms, Gradients
from .instrument import Instrument, Moment, Scene
from .updates import Updates, WeightHistograms

INSTRUMENTS: list[type[Instrument]] = [
    Gradients,
    Updates,
    Activations,
    ActivationHistograms,
    GradientHistograms,
    WeightHistograms,
]

__all__ = ["INSTRUMENTS", "Instrument", "Moment", "Scene"]
