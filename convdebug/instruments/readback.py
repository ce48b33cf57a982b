"""Brings numbers from the device to the host without making the training wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Arrival(Protocol):
    """Something that says whether a copy has arrived."""

    def query(self) -> bool: ...
    def synchronize(self) -> None: ...


Start = Callable[[Tensor], tuple[Tensor, Arrival | None]]
Use = Callable[[np.ndarray], None]


def start_copy(values: Tensor) -> tuple[Tensor, Arrival | None]:
    """Begin a copy to the host: at once on the CPU, into pinned memory behind the queued kernels on CUDA."""
    if values.device.type == "cpu":
        return values, None
    if values.device.type != "cuda":
        return values.cpu(), None
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(values.device))
    return pinned, event


class Readback:
    """Hands host arrays to their readers in the order in which they were asked for, late rather than blocking.

    At most `limit` copies are under way: a host that runs far ahead of its device waits for the oldest one, so that
    a killed process never loses more than the last few steps.
    """

    def __init__(self, start: Start = start_copy, limit: int = 64) -> None:
        self._start = start
        self._limit = limit
        self.waiting: deque[tuple[Tensor, Arrival | None, Use]] = deque()
        """Copies under way, in the order in which they were asked for."""

    def put(self, values: Tensor, use: Use) -> None:
        """Call `use` with the values (float32) as soon as they are on the host; on the CPU that is now."""
        values = values.detach()
        if values.dtype != torch.float32:
            values = values.to(torch.float32)
        copy, arrival = self._start(values)
        if arrival is None and not self.waiting:
            use(copy.numpy())
            return
        self.waiting.append((copy, arrival, use))
        self.collect()

    def collect(self) -> None:
        """Deliver what has arrived."""
        while self.waiting:
            copy, arrival, use = self.waiting[0]
            if arrival is not None and not arrival.query():
                if len(self.waiting) <= self._limit:
                    return
                arrival.synchronize()
            self.waiting.popleft()
            use(copy.numpy())

    def finish(self) -> None:
        """Wait for everything that is under way and deliver it (a CPU–GPU sync point; for the end of a run)."""
        while self.waiting:
            copy, arrival, use = self.waiting.popleft()
            if arrival is not None:
                arrival.synchronize()
            use(copy.numpy())
