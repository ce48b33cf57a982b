"""What the layers put out: mean, spread, zeros, saturation from samples; dead units exactly, over many batches."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .anatomy import SATURATION
from .instrument import Instrument, Moment, Scene
from .origin.isolation import copied
from .probe import unnoticed
from .sampling import histograms, histograms_on_host, moments, share_outside
from .table import Table
from .tap import Reading, Tap

REMEMBERED_BATCHES = 16
"""A unit counts as dead once it has been silent on every example of this many measured batches (or of all so far)."""


class Activations(Instrument):
    """`activation/<layer>/{mean,std,zero_fraction,saturated_fraction}` and `unit/<layer>/dead`."""

    name: ClassVar[str] = "activations"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.needs_root = scene.compiled
        self.tap = Tap(scene.inner, scene.device, scene.clock, functions=not scene.compiled)
        self.table = Table(scene.run)
        self.dead_table = Table(scene.run)
        self.silence: dict[str, deque[Tensor]] = {}
        self._plan: Plan | None = None

    def arm(self, moment: Moment) -> None:
        self.tap.clear()
        if not self.scene.compiled:
            self.tap.attach()

    def disarm(self) -> None:
        self.tap.detach()
        self.tap.clear()

    def inner_seconds(self) -> float:
        return self.tap.spent()

    def before_update(self, moment: Moment) -> None:
        if self.scene.compiled and not self.tap.readings:
            self._eager_pass(moment)

    def _eager_pass(self, moment: Moment) -> None:
        """Compiled code calls no hooks: run the plain module once more on the same batch, before the update."""
        if moment.inputs is None:
            return
        self.tap.wants_gradients = False
        self.tap.attach()
        with unnoticed(self.scene.inner):
            self.scene.inner(*copied(moment.inputs), **copied(moment.keywords))
        self.tap.detach()

    def record(self, moment: Moment) -> None:
        if self.tap.failure is not None:
            raise self.tap.failure
        moment.hook_seconds = self.tap.seconds
        readings, samples = self.tap.readings, self.tap.samples
        if not readings:
            return
        plan = self._planned(readings)
        values, mask, counts = samples.values(), samples.mask(), samples.counts
        columns = moments(values, counts, mask)
        if plan.bounded:
            outside = share_outside(values, plan.low, plan.high, counts, mask)
            columns = torch.cat([columns.view(-1), outside[plan.bounded_rows]])
        moment.samples["activation"] = (plan.layers, values, mask)
        self.scene.readback.put(columns.view(-1), lambda row: self.table.append(moment.step, plan.names, row))
        if plan.rectifiers:
            self._record_dead(moment.step, plan, readings)

    def _planned(self, readings: list[Reading]) -> Plan:
        layers = [reading.layer for reading in readings]
        if self._plan is None or self._plan.known != layers:
            self._plan = Plan(readings, self.scene.device)
            self.scene.tell(layers=[layer.as_info() for layer in layers])
        return self._plan

    def _record_dead(self, step: int, plan: Plan, readings: list[Reading]) -> None:
        shares = []
        for reading in readings:
            if reading.maxima is not None:
                silent = self.silence.setdefault(reading.layer.name, deque(maxlen=REMEMBERED_BATCHES))
                if silent and silent[0].shape != reading.maxima.shape:
                    silent.clear()
                silent.append(reading.maxima <= 0)
                shares.append(torch.stack(list(silent)).all(0).sum() / reading.maxima.numel())
        names = plan.dead_names
        self.scene.readback.put(torch.stack(shares), lambda row: self.dead_table.append(step, names, row))


class Plan:
    """The names and bounds that belong to one list of readings, worked out once."""

    def __init__(self, readings: list[Reading], device: torch.device) -> None:
        self.known = [reading.layer for reading in readings]
        self.layers = tuple(layer.name for layer in self.known)
        bounds = [SATURATION.get(layer.activation or "") for layer in self.known]
        self.bounded = [name for name, bound in zip(self.layers, bounds, strict=True) if bound]
        self.bounded_rows = torch.tensor([row for row, bound in enumerate(bounds) if bound], dtype=torch.int64).to(
            device
        )
        self.low = torch.tensor([bound[0] if bound else -np.inf for bound in bounds]).to(device)
        self.high = torch.tensor([bound[1] if bound else np.inf for bound in bounds]).to(device)
        self.rectifiers = [reading.layer.name for reading in readings if reading.maxima is not None]
        self.names = tuple(
            f"activation/{name}/{measure}" for name in self.layers for measure in ("mean", "std", "zero_fraction")
        ) + tuple(f"activation/{name}/saturated_fraction" for name in self.bounded)
        self.dead_names = tuple(f"unit/{name}/dead" for name in self.rectifiers)


class ActivationHistograms(Instrument):
    """`activation-histograms` of the values that `Activations` drew."""

    name: ClassVar[str] = "activation-histograms"
    weight: ClassVar[float] = 0.3
    grows: ClassVar[bool] = True
    follows: ClassVar[str | None] = "activations"

    def record(self, moment: Moment) -> None:
        if "activation" in moment.samples:
            write_histograms(self.scene, moment, "activation")


def write_histograms(scene: Scene, moment: Moment, what: str) -> None:
    """Reduce the samples of `what` to a blob `<what>-histograms` (rows, 2 + 64)."""
    names, values, mask = moment.samples[what]
    kind, step = f"{what}-histograms", moment.step

    def write(table: np.ndarray) -> None:
        scene.run.blob(kind, step, np.array(table), names=names)

    if values.device.type == "cpu":
        write(histograms_on_host(values.numpy(), None if mask is None else mask.numpy()))
    else:
        scene.readback.put(histograms(values, mask), write)
