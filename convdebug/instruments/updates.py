"""How far an optimizer step moves each parameter, measured against the parameter's own size."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .activations import write_histograms
from .instrument import Instrument, Moment, Scene
from .sampling import Samples
from .table import Table


def dense_parameters(scene: Scene) -> tuple[tuple[str, ...], list[Tensor]]:
    """The trainable floating parameters on the scene's device, detached, with their names."""
    found = [
        (name, parameter.detach())
        for name, parameter in scene.parameters
        if parameter.requires_grad and parameter.device == scene.device and is_plain(parameter)
    ]
    return tuple(name for name, _ in found), [tensor for _, tensor in found]


def is_plain(parameter: nn.Parameter) -> bool:
    """Whether a parameter is dense, floating and initialized (a lazy one is none of these)."""
    return (
        not isinstance(parameter, nn.parameter.UninitializedParameter)
        and parameter.layout == torch.strided
        and parameter.is_floating_point()
    )


class Updates(Instrument):
    """`update/<parameter>/ratio` = |change| / |weight before| of one step, and `weight/<parameter>/norm` before it.

    With them `train/penalty` = ½ · decay · |w|² where an optimizer decays weights through the gradient.
    A parameter that was all zero and moved has moved by its whole size: its ratio is 1.
    """

    name: ClassVar[str] = "updates"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self.penalty_table = Table(scene.run)
        self._before: list[Tensor] = []
        self._names: tuple[str, ...] = ()
        self._held = False
        self._series: tuple[str, ...] = ()

    def arm(self, moment: Moment) -> None:
        self._held = False
        if not self.scene.optimizers:
            self._hold()

    def before_update(self, moment: Moment) -> None:
        if not self._held or (not self.scene.optimizers and moment.updates == 0):
            self._hold()

    def _hold(self) -> None:
        names, parameters = dense_parameters(self.scene)
        if not _same_shapes(self._before, parameters) or names != self._names:
            self._before = [torch.empty_like(parameter) for parameter in parameters]
            self._names = names
            self._series = tuple(f"update/{name}/ratio" for name in names)
            self._series += tuple(f"weight/{name}/norm" for name in names)
        if parameters:
            torch._foreach_copy_(self._before, parameters)
            self._held = True

    def record(self, moment: Moment) -> None:
        names, parameters = dense_parameters(self.scene)
        if not self._held or names != self._names:
            return
        weights = torch.stack(torch._foreach_norm(self._before)).to(torch.float32)
        torch._foreach_sub_(self._before, parameters)
        changes = torch.stack(torch._foreach_norm(self._before)).to(torch.float32)
        ratios = torch.where(weights == 0, (changes > 0).to(torch.float32), changes / weights)
        series, decays = self._series, self._decays(moment)

        def write(row: np.ndarray) -> None:
            self.table.append(moment.step, series, row)
            if decays is not None:
                penalty = 0.5 * float(decays @ row[len(names) :].astype(np.float64) ** 2)
                self.penalty_table.append(moment.step, ("train/penalty",), (penalty,))

        self.scene.readback.put(torch.cat([ratios, weights]), write)

    def _decays(self, moment: Moment) -> np.ndarray | None:
        """The decay of each parameter if it acts as ½ · decay · |w|²; None without any, or if the loop tells it."""
        if "train/penalty" in moment.given:
            return None
        decays = {
            id(parameter): group.get("weight_decay", 0.0)
            for optimizer in self.scene.optimizers
            if type(optimizer).__name__ != "AdamW"
            for group in optimizer.param_groups
            if not group.get("decoupled_weight_decay", False)
            for parameter in group["params"]
        }
        held = [parameter for _, parameter in self.scene.parameters if parameter.requires_grad and is_plain(parameter)]
        row = np.array([float(decays.get(id(parameter), 0.0)) for parameter in held])
        return row if row.any() and len(row) == len(self._names) else None


def _same_shapes(held: list[Tensor], parameters: list[Tensor]) -> bool:
    return len(held) == len(parameters) and all(
        a.shape == b.shape and a.dtype == b.dtype for a, b in zip(held, parameters, strict=True)
    )


class WeightHistograms(Instrument):
    """`weight-histograms`: at most 4096 sampled values of each trainable parameter."""

    name: ClassVar[str] = "weight-histograms"
    weight: ClassVar[float] = 0.2
    grows: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.samples = Samples(scene.device, seed=2)

    def arm(self, moment: Moment) -> None:
        self.samples.clear()

    def before_update(self, moment: Moment) -> None:
        if not self.samples.counts:
            names, parameters = dense_parameters(self.scene)
            for parameter in parameters:
                self.samples.add(parameter)
            if parameters:
                moment.samples["weight"] = (names, self.samples.values(), self.samples.mask())

    def record(self, moment: Moment) -> None:
        if "weight" not in moment.samples:
            self.before_update(moment)
        if "weight" in moment.samples:
            write_histograms(self.scene, moment, "weight")
