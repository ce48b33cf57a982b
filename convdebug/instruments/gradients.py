"""How large the gradients are that the optimizer is about to use, and how their values are spread."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .activations import write_histograms
from .instrument import Instrument, Moment, Scene
from .sampling import Samples
from .table import Table


def present_gradients(scene: Scene) -> tuple[tuple[str, ...], list[Tensor]]:
    """The dense gradients on the scene's device with their parameters' names, in the order of the model."""
    names, gradients = [], []
    for name, parameter in scene.parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.device == scene.device and gradient.layout == torch.strided:
            names.append(name)
            gradients.append(gradient.detach())
    return tuple(names), gradients


class Gradients(Instrument):
    """`gradient/<parameter>/norm`, taken as the optimizer steps: after unscaling and clipping."""

    name: ClassVar[str] = "gradients"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._norms: tuple[tuple[str, ...], Tensor] | None = None

    def arm(self, moment: Moment) -> None:
        self._norms = None

    def before_update(self, moment: Moment) -> None:
        names, gradients = present_gradients(self.scene)
        if gradients and self._norms is None:
            self._norms = names, torch.stack(torch._foreach_norm(gradients)).to(torch.float32)
            moment.gradient_norms = self._norms

    def record(self, moment: Moment) -> None:
        if self._norms is None:
            self.before_update(moment)
        if self._norms is None:
            return
        names, norms = self._norms
        series = self._names.get(names)
        if series is None:
            series = self._names[names] = tuple(f"gradient/{name}/norm" for name in names)
        self.scene.readback.put(norms, lambda row: self.table.append(moment.step, series, row))


class GradientHistograms(Instrument):
    """`gradient-histograms`: at most 4096 sampled values of each parameter's gradient."""

    name: ClassVar[str] = "gradient-histograms"
    weight: ClassVar[float] = 0.2
    grows: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.samples = Samples(scene.device, seed=1)

    def arm(self, moment: Moment) -> None:
        self.samples.clear()

    def before_update(self, moment: Moment) -> None:
        names, gradients = present_gradients(self.scene)
        if gradients and not self.samples.counts:
            for gradient in gradients:
                self.samples.add(gradient)
            moment.samples["gradient"] = (names, self.samples.values(), self.samples.mask())

    def record(self, moment: Moment) -> None:
        if "gradient" not in moment.samples:
            self.before_update(moment)
        if "gradient" in moment.samples:
            write_histograms(self.scene, moment, "gradient")


class GradientOverlap(Instrument):
    """`gradient/overlap`: the cosine between the gradients of two successive steps, over a few parameters.

    Gradients that are never zeroed contain the one before: the cosine creeps toward 1 and stays there.
    """

    name: ClassVar[str] = "gradient-overlap"
    weight: ClassVar[float] = 0.1
    pairs: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._held: tuple[int, tuple[str, ...], list[Tensor]] | None = None
        self._now: tuple[tuple[str, ...], list[Tensor]] | None = None

    def arm(self, moment: Moment) -> None:
        self._now = None

    def before_update(self, moment: Moment) -> None:
        names, gradients = present_gradients(self.scene)
        chosen = chosen_places([gradient.numel() for gradient in gradients])
        if chosen and self._now is None:
            kept = [torch.empty_like(gradients[place]) for place in chosen]
            torch._foreach_copy_(kept, [gradients[place] for place in chosen])
            self._now = tuple(names[place] for place in chosen), kept

    def record(self, moment: Moment) -> None:
        if self._now is None:
            self.before_update(moment)
        held, now = self._held, self._now
        self._held = None if now is None else (moment.step, *now)
        if held is None or now is None or held[:2] != (moment.step - 1, now[0]):
            return
        cosine = cosine_of(held[2], now[1]).reshape(1)
        self.scene.readback.put(cosine, lambda row: self.table.append(moment.step, ("gradient/overlap",), row))


def chosen_places(sizes: list[int], most: int = 8, largest: int = 65536) -> list[int]:
    """At most eight of the parameters that are not huge, spread over the depth of the network."""
    small = [place for place, size in enumerate(sizes) if size <= largest]
    stride = max(1, -(-len(small) // most))
    return small[::stride]


def cosine_of(before: list[Tensor], after: list[Tensor]) -> Tensor:
    """The cosine of the angle between two lists of tensors, each taken as one long vector."""
    lengths = [torch.stack(torch._foreach_norm(tensors)).norm() for tensors in (before, after)]
    products = torch._foreach_mul(before, after)
    dot = torch.stack([product.sum() for product in products]).sum().real
    return dot / (lengths[0] * lengths[1]).clamp_min(torch.finfo(torch.float32).tiny)
