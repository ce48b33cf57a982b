"""The instruments: what is measured at a step, one file each, in the order in which the budget is spent."""

from __future__ import annotations

from .accuracy import Accuracy
from .activations import ActivationHistograms, Activations
from .clipping import Clipping
from .dropout import Dropout
from .dropping import Dropping
from .examples import Examples
from .filters import Filters
from .gradients import GradientHistograms, GradientOverlap, Gradients
from .graphs import Graphs
from .inputs import Inputs
from .instrument import Instrument, Moment, Scene
from .loop import LoopCounts
from .loss_inputs import LossInputs
from .loss_values import LossValues
from .membership import Membership
from .memory import Memory
from .mixing import Mixing
from .mixture import Mixture
from .modes import Modes
from .outputs import Outputs
from .phases import Phases
from .predictions import Predictions
from .received import Received
from .similarity import Similarity
from .sync import Sync
from .trained_on import TrainedOn
from .unregistered import Unregistered
from .updates import Updates, WeightHistograms
from .workers import Workers
from .zeroing import Zeroing

INSTRUMENTS: list[type[Instrument]] = [
    Accuracy,
    LossValues,
    Gradients,
    Updates,
    Activations,
    ActivationHistograms,
    Outputs,
    Inputs,
    GradientHistograms,
    WeightHistograms,
    GradientOverlap,
    Memory,
    Membership,
    Unregistered,
    Similarity,
    Filters,
    Predictions,
    Phases,
    LoopCounts,
    Zeroing,
    Received,
    LossInputs,
    Modes,
    Dropping,
    Mixture,
    Mixing,
    Clipping,
    Graphs,
    Examples,
    TrainedOn,
    Workers,
    Dropout,
    Sync,
]

__all__ = ["INSTRUMENTS", "Instrument", "Moment", "Scene"]
