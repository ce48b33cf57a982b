"""How much memory the training holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import torch

from .instrument import Instrument, Moment, Scene
from .table import Table

STATM = Path("/proc/self/statm")


def allocated_bytes(device: torch.device) -> int | None:
    """Bytes of tensors on a CUDA device; on the CPU the process's resident memory, where the system tells it."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if not STATM.exists():
        return None
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Memory(Instrument):
    """`memory/allocated` in bytes."""

    name: ClassVar[str] = "memory"
    weight: ClassVar[float] = 0.05

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)

    def record(self, moment: Moment) -> None:
        held = allocated_bytes(self.scene.device)
        if held is not None:
            self.table.append(moment.step, ("memory/allocated",), (float(held),))
