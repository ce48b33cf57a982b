"""Numbers about a tensor that say why an operator may have failed on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MOST_ROWS = 32


@dataclass(frozen=True)
class State:
    """Whether a tensor holds NaN, +infinity, −infinity."""

    nan: bool = False
    above: bool = False
    below: bool = False

    @property
    def bad(self) -> bool:
        return self.nan or self.above or self.below

    @property
    def infinite(self) -> bool:
        return self.above or self.below


FINE = State()


def state_of(tensor: Tensor) -> State:
    """One pass over the values; a NaN hides infinities from that pass, so they are then looked for."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0 or not _plain(tensor):
        return FINE
    values = _real(tensor.detach())
    low, high = (float(each) for each in torch.aminmax(values))
    if low != low:
        return State(True, bool(torch.isposinf(values).any()), bool(torch.isneginf(values).any()))
    return State(False, high == float("inf"), low == float("-inf"))


def finite(tensor: Tensor) -> bool:
    """Whether every value is a number (a CPU–GPU sync point where the tensor lies on a device)."""
    return not state_of(tensor).bad


def described(tensor: Tensor, name: str = "") -> dict[str, Any]:
    """Shape, type, extremes and mean of the finite values, how many are zero, NaN, infinite."""
    values = _real(tensor.detach())
    facts: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).split(".")[-1]}
    if not _plain(tensor) or not values.is_floating_point() or values.numel() == 0:
        return facts
    good = values[torch.isfinite(values)]
    facts |= {
        "size": values.numel(),
        "zeros": int((values == 0).sum()),
        "nan": int(torch.isnan(values).sum()),
        "inf": int(torch.isinf(values).sum()),
    }
    if good.numel():
        wide = good.double()
        facts |= {"min": float(wide.min()), "max": float(wide.max()), "mean": float(wide.mean())}
    return facts


def bad_rows(tensor: Tensor, batch: int | None) -> list[int] | None:
    """The examples (places along the first axis) with a value that is no number; None where that axis is not theirs."""
    if batch is None or tensor.dim() == 0 or tensor.shape[0] != batch or not _plain(tensor):
        return None
    good = torch.isfinite(_real(tensor.detach())).reshape(batch, -1).all(1)
    return torch.nonzero(~good).reshape(-1).tolist()


def largest_of(tensors: list[Tensor]) -> float:
    """The largest magnitude among the finite values of all tensors."""
    found = [facts for tensor in tensors if (facts := described(tensor)) and "max" in facts]
    return max((max(abs(facts["min"]), abs(facts["max"])) for facts in found), default=0.0)


def _plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type != "meta"


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
