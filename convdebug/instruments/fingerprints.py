"""Small numbers by which an example is known again: equal examples have equal ones, whatever batch they stand in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MOST_LENGTHS = 16
VALUES = 4096
"""So many values of an example make its fingerprint, drawn once for each length: evenly spaced ones may all lie in
one column of a picture."""
WORDS, BITS = 2, 20
"""A fingerprint is two whole numbers of 20 bits, which float32 holds exactly on its way to the host."""
AT_ONCE = 2**16
"""Values that are worked on together on the CPU: larger pieces leave its cache and take several times as long."""
MOST_COPIED = 2**22
"""Examples whose values lie scattered in memory are copied up to so many values."""


class Fingerprints:
    """Fingerprints (N, 2) of examples: sums of the bits of their values times fixed random numbers, modulo 2^64.

    Bits and not values are summed, so that the order of the sum cannot change it. Different examples share one once in
    10^12 pairs. The numbers are numpy's own, so that the user's random state is the same with and without it.
    """

    def __init__(self) -> None:
        self._drawn: dict[tuple[int, int, torch.device], tuple[Tensor | None, Tensor]] = {}

    def of(self, parts: Sequence[Tensor]) -> Tensor:
        """Fingerprints of examples that consist of one row of each part (N, …); fewer where much had to be copied."""
        rows = [_rows(part.detach()) for part in parts]
        count = min(len(row) for row in rows)
        sums = [self._sums(row[:count], place) for place, row in enumerate(rows)]
        total = sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)
        return torch.stack([total >> 44, total >> 24], dim=1) & (2**BITS - 1)

    def _sums(self, rows: Tensor, place: int) -> Tensor:
        places, factors = self._numbers(place, rows.shape[1], rows.device)
        parts = rows.split(max(1, AT_ONCE // len(factors))) if rows.is_cpu else [rows]
        sums = [_sum(part if places is None else part.index_select(1, places), factors) for part in parts]
        return sums[0] if len(sums) == 1 else torch.cat(sums)

    def _numbers(self, place: int, length: int, device: torch.device) -> tuple[Tensor | None, Tensor]:
        """Which values of so many count, None for all, and the number that each is multiplied by."""
        known = self._drawn.get((place, length, device))
        if known is None:
            while len(self._drawn) >= MOST_LENGTHS:  # sounds and texts may all be of other lengths
                self._drawn.pop(next(iter(self._drawn)))
            source = np.random.default_rng((11, place, length))
            places = None
            if length > VALUES:
                places = torch.from_numpy(np.sort(source.choice(length, VALUES, replace=False))).to(device)
            factors = torch.from_numpy(source.integers(2**62, size=min(length, VALUES))).to(device)
            known = self._drawn[place, length, device] = places, factors
        return known


def keys_in(row: np.ndarray) -> list[int]:
    """Fingerprints that have arrived on the host, one number each."""
    words = row.reshape(-1, WORDS).astype(np.int64)
    return [int(key) for key in (words[:, 0] << BITS) + words[:, 1]]


def _sum(values: Tensor, factors: Tensor) -> Tensor:
    bits = values.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    return torch.mv(bits, factors) if bits.is_cpu else (bits * factors).sum(1)  # CUDA multiplies no matrices of these


def _rows(part: Tensor) -> Tensor:
    """An example a row, without a copy where the memory allows it."""
    if part.is_complex():
        part = torch.view_as_real(part.resolve_conj())
    if part.dim() == 1:
        return part[:, None]
    try:
        return part.view(len(part), -1)
    except RuntimeError:
        most = max(1, MOST_COPIED * len(part) // part.numel())
        return part[:most].reshape(min(most, len(part)), -1)
