"""What the network is fed: range and spread of the inputs, variety of the labels, one batch as the network sees it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .anatomy import first_tensor
from .entrance import Entrance
from .fetching import tensors_in
from .instrument import Instrument, Moment, Scene
from .sampling import Samples, as_float32, flat_view, moments
from .table import Table

KEPT_IMAGES = 16
SERIES = ("input/mean", "input/std", "input/min", "input/max")


def label_entropy(labels: Tensor, classes: int) -> Tensor:
    """The entropy (nats) of the labels (N,) in a batch: ln of the number of classes if they are evenly mixed."""
    counts = torch.zeros(classes, device=labels.device)
    counts.scatter_add_(0, labels.reshape(-1).clamp(0, classes - 1), torch.ones(labels.numel(), device=labels.device))
    shares = counts / labels.numel()
    return -torch.special.xlogy(shares, shares).sum()


def is_part(examples: int, batch: int | None) -> bool:
    """Whether a batch goes through the model in equal pieces of so many examples."""
    return batch is not None and 0 < examples < batch and batch % examples == 0


class Inputs(Instrument):
    """`input/{mean,std,min,max}` of the first floating input, `label/entropy`, and once the blob `network-input`.

    The info `entrance` says what the first layer with weights was given at the first step that was seen, the info
    `given_beside` how many tensors the model was given beside that input.
    Extremes are exact, so a NaN or an infinity anywhere shows in them; mean and spread come from 4096 samples.
    """

    name: ClassVar[str] = "inputs"
    weight: ClassVar[float] = 0.2
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.samples = Samples(scene.device, rows=1, seed=3)
        self.table = Table(scene.run)
        self.label_table = Table(scene.run)
        self._told = False
        self._entrance: Entrance | None = None

    def arm(self, moment: Moment) -> None:
        if self._entrance is None and not self.scene.compiled:
            self._entrance = Entrance(self.scene.inner, lambda found: self.scene.tell(entrance=found))

    def fall_silent(self) -> None:
        if self._entrance is not None:
            self._entrance.close()

    def finish(self) -> None:
        self.fall_silent()

    def record(self, moment: Moment) -> None:
        if self._entrance is not None:
            self._entrance.close()
        tensor = first_tensor([moment.inputs, moment.keywords]) if moment.inputs is not None else None
        if tensor is not None and tensor.numel() and tensor.device == self.scene.device:
            self._record_input(moment, tensor.detach())
        labels, scores = moment.labels, moment.scores
        if labels is not None and scores is not None and labels.dtype == torch.int64 and scores.dim() > 1:
            entropy = label_entropy(labels, int(scores.shape[1])).reshape(1)
            self.scene.readback.put(entropy, lambda row: self.label_table.append(moment.step, ("label/entropy",), row))

    def _record_input(self, moment: Moment, tensor: Tensor) -> None:
        if not self._told:
            self._tell(moment, tensor)
        self.samples.clear()
        self.samples.add(tensor)
        middle = moments(self.samples.values(), self.samples.counts, self.samples.mask())[0, :2]
        flat = flat_view(tensor)
        row = torch.stack([*middle, flat.amin().float(), flat.amax().float()])
        self.scene.readback.put(row, lambda values: self.table.append(moment.step, SERIES, values))

    def _tell(self, moment: Moment, tensor: Tensor) -> None:
        self._told = True
        if "batch_size" not in self.scene.info:
            self.scene.tell(batch_size=int(tensor.shape[0]) if tensor.dim() else 1)
        elif tensor.dim() and is_part(len(tensor), self.scene.info["batch_size"]):
            self.scene.tell(pass_size=len(tensor))
        data = self.scene.info.get("data") or {}
        if "input_shape" not in data:
            self.scene.tell(data={**data, "input_shape": list(tensor.shape[1:])})
        beside = len(tensors_in([moment.inputs, moment.keywords])) - 1
        if beside:
            self.scene.tell(given_beside=beside)
        if tensor.dim() == 4:
            self.scene.run.blob("network-input", moment.step, as_float32(tensor[:KEPT_IMAGES]))
