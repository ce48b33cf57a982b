"""What the network thinks of one fixed batch as it learns: its three best guesses for each picture."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .anatomy import first_tensor
from .instrument import Instrument, Moment, Scene
from .probe import unnoticed
from .sampling import as_float32

KEPT_IMAGES = 8
TOP = 3


class Predictions(Instrument):
    """`predictions` (N, 3, 2): class and probability, in evaluation mode; `fixed-batch` once, the pictures.

    The random state, the buffers and the modes of the model are as they were afterwards.
    """

    name: ClassVar[str] = "predictions"
    weight: ClassVar[float] = 0.3
    rarity: ClassVar[int] = 16
    grows: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.batch: Tensor | None = None
        self.labels: list[str] = []
        self.needs_root = True
        self._impossible = False

    def record(self, moment: Moment) -> None:
        if self.batch is None and not self._impossible:
            self._choose(moment)
        if self.batch is None:
            return
        with unnoticed(self.scene.inner, evaluation=True):
            scores = first_tensor(self.scene.inner(self.batch.clone()))
        if scores is None or scores.dim() != 2 or scores.shape[1] < 2:
            self.batch, self._impossible = None, True
            return
        step, run = moment.step, self.scene.run
        self.scene.readback.put(best_guesses(scores), lambda table: run.blob("predictions", step, np.array(table)))

    def _choose(self, moment: Moment) -> None:
        """The pictures given to `watch`, else the first of the first batch, if the model takes one tensor alone."""
        given: Any = self.scene.images
        labels: Any = self.scene.image_labels
        if given is None and moment.inputs is not None:
            given, labels = only_tensor(moment.inputs, moment.keywords), moment.labels
        elif given is None:
            return
        self.needs_root = False
        if given is None:
            self._impossible = True
            return
        self.batch = torch.as_tensor(given)[:KEPT_IMAGES].detach().to(self.scene.device, copy=True)
        names = [self._name_of(label) for label in (labels[:KEPT_IMAGES] if _is_listed(labels) else [])]
        if self.batch.dim() == 4:
            self.scene.run.blob("fixed-batch", moment.step, as_bytes(self.batch), names=names)

    def _name_of(self, label: Any) -> str:
        if isinstance(label, Tensor):
            label = label.tolist()
        names = self.scene.class_names
        return names[label] if names and isinstance(label, int) and 0 <= label < len(names) else str(label)


def only_tensor(inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor | None:
    """The single floating tensor (N, …) a model was called with; None if it was called with anything else."""
    if len(inputs) == 1 and not keywords and isinstance(inputs[0], Tensor) and inputs[0].dim() > 1:
        return inputs[0]
    return None


def best_guesses(scores: Tensor) -> Tensor:
    """The three most probable classes of scores (N, C) as (N, 3, 2): class index, probability; −1 where C < 3."""
    probabilities = scores.float().softmax(1)
    best, classes = probabilities.topk(min(TOP, scores.shape[1]), dim=1)
    table = torch.stack([classes.float(), best], dim=2)
    missing = TOP - table.shape[1]
    if missing > 0:
        filler = torch.tensor([-1.0, 0.0], device=table.device).expand(len(table), missing, 2)
        table = torch.cat([table, filler], dim=1)
    return table


def as_bytes(images: Tensor) -> np.ndarray:
    """Images (N, C, H, W) stretched each to its own range, as uint8 (N, H, W, C)."""
    values = as_float32(images)
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low = values.min(axis=(1, 2, 3), keepdims=True)
    span = values.max(axis=(1, 2, 3), keepdims=True) - low
    return ((values - low) / np.where(span > 0, span, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)


def _is_listed(labels: Any) -> bool:
    """Whether there is a label for each example, rather than one for all or none."""
    return labels is not None and not (isinstance(labels, Tensor) and labels.dim() == 0)
