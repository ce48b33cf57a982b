"""A few thousand values drawn from each of many tensors into one buffer, and the statistics of all rows at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SAMPLES = 4096
BINS = 64


def flat_view(tensor: Tensor) -> Tensor:
    """All values of a tensor in some order, without a copy where its memory is dense."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    if tensor.dim() in (4, 5):
        order = (0, *range(2, tensor.dim()), 1)
        moved = tensor.permute(order)
        if moved.is_contiguous():
            return moved.view(-1)
    return tensor.reshape(-1)


class Samples:
    """One buffer (rows, 4096) on the tensors' device; short tensors go in whole, long ones by random places.

    Places come from a generator of their own, so that the user's random numbers are the same with and without it.
    """

    def __init__(self, device: torch.device, rows: int = 16, seed: int = 0) -> None:
        self.device = device
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.buffer = torch.zeros((rows, SAMPLES), device=device)
        self.counts: list[int] = []
        self._places: dict[int, Tensor] = {}
        self._mask: tuple[list[int], Tensor] | None = None

    def clear(self) -> None:
        """Forget all rows; the next ones are drawn from new places."""
        self.counts.clear()
        self._places.clear()

    def add(self, tensor: Tensor) -> int:
        """Sample a detached tensor into the next row and return the row's number."""
        tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        row = len(self.counts)
        if row == len(self.buffer):
            self.buffer = torch.cat([self.buffer, torch.zeros_like(self.buffer)])
        self.counts.append(self._fill(self.buffer[row], flat_view(tensor)))
        return row

    def drop_last(self) -> None:
        """Take back the row added last."""
        self.counts.pop()

    def values(self) -> Tensor:
        """The filled rows (rows, 4096); past its count a row holds zeros."""
        return self.buffer[: len(self.counts)]

    def mask(self) -> Tensor | None:
        """Which values count (rows, 4096); None if all do."""
        if all(count == SAMPLES for count in self.counts):
            return None
        if self._mask is None or self._mask[0] != self.counts:
            counts = torch.tensor(self.counts).to(self.device, non_blocking=True)
            self._mask = (list(self.counts), torch.arange(SAMPLES, device=self.device) < counts[:, None])
        return self._mask[1]

    def _fill(self, row: Tensor, flat: Tensor) -> int:
        count = flat.numel()
        if count <= SAMPLES:
            row[:count].copy_(flat)
            row[count:].zero_()
            return count
        places = self._places_in(count)
        if flat.dtype == row.dtype:
            torch.index_select(flat, 0, places, out=row)
        else:
            row.copy_(flat.index_select(0, places))
        return SAMPLES

    def _places_in(self, count: int) -> Tensor:
        places = self._places.get(count)
        if places is None:
            places = torch.randint(count, (SAMPLES,), generator=self.generator, device=self.device)
            self._places[count] = places
        return places


def moments(values: Tensor, counts: list[int], mask: Tensor | None) -> Tensor:
    """Mean, standard deviation and share of exact zeros of each row (rows, 3); a non-finite value shows in the mean."""
    sizes = torch.tensor(counts, dtype=torch.float32, device=values.device).clamp_(min=1)
    mean = values.sum(1) / sizes
    centred = values - mean[:, None]
    zeros = values == 0
    if mask is not None:
        centred = centred * mask
        zeros = zeros & mask
    deviation = (centred.square_().sum(1) / sizes).sqrt_()
    return torch.stack([mean, deviation, zeros.sum(1) / sizes], dim=1)


def share_outside(values: Tensor, low: Tensor, high: Tensor, counts: list[int], mask: Tensor | None) -> Tensor:
    """The share of each row's values below `low` or above `high`, both (rows,)."""
    sizes = torch.tensor(counts, dtype=torch.float32, device=values.device).clamp_(min=1)
    outside = (values < low[:, None]) | (values > high[:, None])
    if mask is not None:
        outside &= mask
    return outside.sum(1) / sizes


def histograms(values: Tensor, mask: Tensor | None) -> Tensor:
    """(rows, 2 + 64): low edge, high edge, counts of 64 equal bins, over the finite values of each row.

    The edges are the extremes, but never beyond six standard deviations from the mean: the few values farther out
    are counted in the outermost bins, so that one outlier cannot flatten a whole picture.
    """
    counted = torch.isfinite(values)
    if mask is not None:
        counted &= mask
    clean = torch.where(counted, values, 0.0)
    low, high = _edges(values, clean, counted)
    width = torch.where(high > low, high - low, 1.0)
    places = ((clean - low[:, None]) * (BINS / width)[:, None]).to(torch.int64).clamp_(0, BINS - 1)
    places += torch.arange(len(values), device=values.device)[:, None] * BINS
    places = torch.where(counted, places, len(values) * BINS)
    filled = torch.bincount(places.view(-1), minlength=len(values) * BINS + 1)[:-1].view(-1, BINS)
    return torch.cat([low[:, None], high[:, None], filled.to(torch.float32)], dim=1)


@np.errstate(over="ignore", invalid="ignore")  # a diverged network's values overflow their own sums
def histograms_on_host(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The same as `histograms` in numpy, which is three times as fast on the few rows of a CPU run."""
    counted = np.isfinite(values)
    plain = mask is None and counted.all()
    if mask is not None:
        counted &= mask
    clean = values if plain else np.where(counted, values, np.float32(0))
    low, high = _edges_on_host(values, clean, None if plain else counted)
    scale = np.float32(BINS) / np.where(high > low, high - low, np.float32(1))
    places = ((clean - low[:, None]) * scale[:, None]).astype(np.int32).clip(0, BINS - 1)
    places += (np.arange(len(values), dtype=np.int32) * BINS)[:, None]
    chosen = places.ravel() if plain else places[counted]
    filled = np.bincount(chosen, minlength=len(values) * BINS).reshape(-1, BINS)
    return np.concatenate([low[:, None], high[:, None], filled], axis=1, dtype=np.float32)


def _edges_on_host(values: np.ndarray, clean: np.ndarray, counted: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    sizes = values.shape[1] if counted is None else np.maximum(counted.sum(1), 1)
    mean = clean.sum(1) / sizes
    centred = clean - mean[:, None].astype(np.float32)
    if counted is not None:
        centred *= counted
    reach = 6 * np.sqrt(np.einsum("rs,rs->r", centred, centred) / sizes)
    low = values.min(1) if counted is None else np.where(counted, values, np.inf).min(1)
    high = values.max(1) if counted is None else np.where(counted, values, -np.inf).max(1)
    empty = ~np.isfinite(low)
    low, high = np.maximum(low, mean - reach), np.minimum(high, mean + reach)
    return np.where(empty, 0, low).astype(np.float32), np.where(empty, 0, high).astype(np.float32)


def _edges(values: Tensor, clean: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    sizes = counted.sum(1).clamp_(min=1)
    mean = clean.sum(1) / sizes
    reach = 6 * (torch.where(counted, clean - mean[:, None], 0.0).square_().sum(1) / sizes).sqrt_()
    low = torch.where(counted, values, torch.inf).amin(1)
    high = torch.where(counted, values, -torch.inf).amax(1)
    empty = ~torch.isfinite(low)
    low, high = torch.maximum(low, mean - reach), torch.minimum(high, mean + reach)
    return low.masked_fill_(empty, 0.0), high.masked_fill_(empty, 0.0)


def as_float32(tensor: Tensor) -> np.ndarray:
    """A detached tensor on the host as float32."""
    return tensor.to(torch.float32).cpu().numpy()
