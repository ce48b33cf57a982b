"""Which validation examples were trained on: fingerprints of the inputs of both splits, as the model is given them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from .anatomy import first_tensor
from .fingerprints import Fingerprints, keys_in
from .hook import Hook
from .instrument import Instrument, Moment, Scene
from .probe import is_probing
from .table import Table

SERIES = ("examples/validation", "examples/shared")
MOST_VALIDATION = 2000
MOST_TRAINING = 200_000


class Examples(Instrument):
    """`examples/validation` and `examples/shared`: validation examples seen, and how many of them were trained on.

    Only where every evaluation is known to be one of the validation split (built-in runs and targets): in a loop that
    is not ours, what is evaluated may well be the training data. Augmented copies are not recognized.
    """

    name: ClassVar[str] = "examples"
    weight: ClassVar[float] = 0.1
    needs_root: bool = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self.known = scene.info.get("source") in ("builtin", "target")
        self.needs_root = self.known
        self._fingerprints = Fingerprints()
        self._training: set[int] = set()
        self._validation: set[int] = set()
        self._last: tuple[int, int] = (0, 0)
        self._step = 0
        self._hook = scene.model.register_forward_pre_hook(Hook(self._enter), with_kwargs=True) if self.known else None

    def _enter(self, model: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if torch.is_grad_enabled() or model.training or is_probing() or torch.compiler.is_compiling():
            return
        if len(self._validation) < MOST_VALIDATION:
            self._take([inputs, keywords], self._validation.update)

    def record(self, moment: Moment) -> None:
        self._step = moment.step
        if not self.known or moment.inputs is None:
            return
        if len(self._training) < MOST_TRAINING:
            self._take([moment.inputs, moment.keywords], self._training.update)
        self._tell()

    def fall_silent(self) -> None:
        if self._hook is not None:
            self._hook.remove()

    def finish(self) -> None:
        self.fall_silent()
        if self._hook is not None:
            self._step += 1
            self._tell()

    def _take(self, inputs: Any, use: Callable[[list[int]], None]) -> None:
        tensor = first_tensor(inputs)
        if tensor is None or tensor.dim() < 2 or tensor.numel() == 0 or tensor.device != self.scene.device:
            return
        prints = self._fingerprints.of([tensor])
        self.scene.readback.put(prints.reshape(-1), lambda row: use(keys_in(row)))

    def _tell(self) -> None:
        """A row when there is something new to say."""
        found = (len(self._validation), len(self._validation & self._training))
        if found != self._last:
            self._last = found
            self.table.append(self._step, SERIES, found)
