"""How long the host waits for the device: time inside `.item()`, `.cpu()` and the other calls that need a number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from .instrument import Instrument, Moment, Scene
from .table import Table

SERIES = ("time/sync", "time/sync_calls")
WAITING = ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__")


class WaitingCalls:
    """Times the calls of torch.Tensor that wait for the device, for tensors that `counts` says count."""

    def __init__(self, counts: Callable[[Tensor], bool], clock: Callable[[], float]) -> None:
        self.seconds, self.calls = 0.0, 0
        self._counts, self._clock = counts, clock
        self._own: dict[str, Any] = {}
        self._inside = False

    def start(self) -> None:
        """Put the timing versions in place of torch's own."""
        self.seconds, self.calls = 0.0, 0
        if not self._own:
            for name in WAITING:
                self._own[name] = torch.Tensor.__dict__.get(name)
                setattr(torch.Tensor, name, self._timed(getattr(torch.Tensor, name)))

    def stop(self) -> None:
        """Put torch's own back."""
        for name, own in self._own.items():
            if own is None:
                delattr(torch.Tensor, name)
            else:
                setattr(torch.Tensor, name, own)
        self._own.clear()

    def _timed(self, original: Any) -> Any:
        @functools.wraps(original)
        def call(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._inside or not self._counts(tensor):
                return original(tensor, *args, **kwargs)
            self._inside, began = True, self._clock()
            try:
                return original(tensor, *args, **kwargs)
            finally:
                self._inside = False
                self.seconds += self._clock() - began
                self.calls += 1

        return call


class Sync(Instrument):
    """`time/sync` (seconds) and `time/sync_calls` of a step, on CUDA; not where the model is compiled."""

    name: ClassVar[str] = "sync"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._useful = scene.device.type == "cuda" and not scene.compiled
        self.waiting = WaitingCalls(lambda tensor: tensor.is_cuda, scene.clock)

    def arm(self, moment: Moment) -> None:
        if self._useful:
            self.waiting.start()

    def disarm(self) -> None:
        self.waiting.stop()

    def record(self, moment: Moment) -> None:
        if self._useful:
            self.table.append(moment.step, SERIES, (self.waiting.seconds, float(self.waiting.calls)))
            self.waiting.stop()
