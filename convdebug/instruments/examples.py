"""Which validation examples were trained on: fingerprints of the inputs of both splits, as the model is given them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .anatomy import first_tensor
from .hook import Hook
from .instrument import Instrument, Moment, Scene
from .probe import is_probing
from .table import Table

SERIES = ("examples/validation", "examples/shared")
MOST_VALIDATION = 2000
MOST_TRAINING = 200_000
VALUES = 512
"""So many values of an example, spread evenly over it, make its fingerprint."""
WORDS = 3
BITS = 20
"""A fingerprint is three numbers of 20 bits, which float32 holds exactly."""


class Fingerprints:
    """Fingerprints (N, 3) of examples (N, …): sums of their bits times fixed random numbers, modulo 2^20."""

    def __init__(self) -> None:
        self._factors: Tensor | None = None

    def of(self, examples: Tensor) -> Tensor:
        """Equal examples have equal fingerprints; different ones differ but for one pair in 10^18."""
        rows = examples.detach().flatten(1)
        rows = rows[:, :: max(1, rows.shape[1] // VALUES)].to(torch.float32).contiguous().view(torch.int32)
        factors = self._factors
        if factors is None or factors.shape[1] != rows.shape[1] or factors.device != rows.device:
            source = torch.Generator().manual_seed(11)
            factors = torch.randint(1, 2**30, (WORDS, rows.shape[1]), generator=source).to(rows.device)
            self._factors = factors
        sums = (rows.to(torch.int64)[:, None, :] * factors[None]).sum(2)
        return (sums >> 33).remainder(2**BITS)


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
        self._training: set[bytes] = set()
        self._validation: set[bytes] = set()
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

    def _take(self, inputs: Any, use: Callable[[list[bytes]], None]) -> None:
        tensor = first_tensor(inputs)
        if tensor is None or tensor.dim() < 2 or tensor.numel() == 0 or tensor.device != self.scene.device:
            return
        prints = self._fingerprints.of(tensor)
        self.scene.readback.put(prints.reshape(-1), lambda row: use(_keys(row)))

    def _tell(self) -> None:
        """A row when there is something new to say."""
        found = (len(self._validation), len(self._validation & self._training))
        if found != self._last:
            self._last = found
            self.table.append(self._step, SERIES, found)


def _keys(row: np.ndarray) -> list[bytes]:
    return [words.tobytes() for words in row.reshape(-1, WORDS).astype(np.int32)]
