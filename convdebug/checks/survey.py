"""What is seen of one split of the data, batch by batch: numbers per channel, labels, copies, contradictions."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from convdebug.search.short_training import HELD_BYTES

_HASHED_BYTES = 4 * HELD_BYTES


@dataclass
class Survey:
    """What was seen of one split; sums are per channel, in double precision."""

    split: str
    examined: int = 0
    total: int | None = None
    shape: tuple[int, ...] = ()
    values: float = 0.0
    sums: Any = 0.0
    squares: Any = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    non_finite: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    """How often 0 and 1 stand there as numbers (N,) or (N, 1)."""
    other_numbers: int = 0
    label_low: float = float("inf")
    label_high: float = float("-inf")
    hashes: Counter[int] = field(default_factory=Counter)
    unlabelled: int = 0
    """Examples with NaN or infinity in their label."""
    first_unlabelled: tuple[Any, Any] | None = None
    """The first batch that holds such examples: inputs and labels."""
    contradictions: int = 0
    """Examples whose inputs stood there before with another label."""
    _label_of: dict[int, Any] = field(default_factory=dict)

    @property
    def mean(self) -> np.ndarray:
        """(C,) mean of the finite values."""
        return np.atleast_1d(self.sums / max(self.values, 1.0))

    @property
    def std(self) -> np.ndarray:
        """(C,) standard deviation of the finite values."""
        return np.sqrt(np.maximum(np.atleast_1d(self.squares / max(self.values, 1.0)) - self.mean**2, 0))

    @property
    def duplicates(self) -> int:
        """How many examples are copies of an earlier one."""
        return sum(count - 1 for count in self.hashes.values())

    @property
    def constant_channels(self) -> list[int]:
        """Channels that hold the same value everywhere, where others do not."""
        flat = self.std <= 1e-12
        return [] if flat.all() else np.flatnonzero(flat).tolist()

    @property
    def all_of_it(self) -> bool:
        """Whether every example was seen."""
        return self.total is not None and self.examined >= self.total

    @property
    def classes(self) -> Counter[int]:
        """How often each class stands there: whole numbers, or the 0 and 1 of a question with two answers."""
        return self.labels or (Counter() if self.other_numbers else self.answers)

    def take(self, inputs: Any, labels: Any) -> tuple[float, float, float, float]:
        """Add a batch; its mean, deviation, lowest and highest value."""
        rows = rows_of(inputs)
        self.examined += len(rows)
        self.shape = tuple(rows.shape[1:])
        self._take_labels(labels)
        self._take_unlabelled(inputs, labels)
        if self.examined * max(1, rows[0].nbytes) <= _HASHED_BYTES:
            self._take_copies([hash(row.tobytes()) for row in rows], labels)
        return self._take_values(rows)

    def _take_copies(self, keys: list[int], labels: Any) -> None:
        self.hashes.update(keys)
        if isinstance(labels, torch.Tensor) and labels.shape == (len(keys),):
            pairs = zip(keys, labels.tolist(), strict=True)
            self.contradictions += sum(self._label_of.setdefault(key, label) != label for key, label in pairs)

    def _take_labels(self, labels: Any) -> None:
        if isinstance(labels, torch.Tensor) and not labels.is_floating_point() and not labels.is_complex():
            values, counts = torch.unique(labels, return_counts=True)
            self.labels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        elif isinstance(labels, torch.Tensor) and labels.is_floating_point() and labels.numel():
            self._take_answers(labels)

    def _take_answers(self, labels: torch.Tensor) -> None:
        low, high = torch.aminmax(labels)
        self.label_low, self.label_high = min(self.label_low, float(low)), max(self.label_high, float(high))
        yes, no = int((labels == 1).sum()), int((labels == 0).sum())
        self.answers.update({0: no, 1: yes} if labels.numel() == len(labels) else {})
        self.other_numbers += labels.numel() - yes - no

    def _take_unlabelled(self, inputs: Any, labels: Any) -> None:
        if not isinstance(labels, torch.Tensor) or not labels.is_floating_point() or labels.ndim == 0:
            return
        bad = ~labels.isfinite().reshape(len(labels), -1).all(1)
        if bool(bad.any()):
            self.unlabelled += int(bad.sum())
            self.first_unlabelled = self.first_unlabelled or (inputs, labels)

    def _take_values(self, rows: np.ndarray) -> tuple[float, float, float, float]:
        channels = rows.reshape(len(rows), rows.shape[1] if rows.ndim > 2 else 1, -1).astype(np.float64)
        finite = np.isfinite(channels)
        bad = channels.size - int(finite.sum())
        self.non_finite += bad
        kept = np.where(finite, channels, 0) if bad else channels
        self.values += finite.sum() / channels.shape[1]
        self.sums = self.sums + kept.sum(axis=(0, 2))
        self.squares = self.squares + (kept**2).sum(axis=(0, 2))
        self.low, self.high = min(self.low, float(kept.min())), max(self.high, float(kept.max()))
        if bad:
            return float("nan"), float(kept.std()), float(kept.min()), float(kept.max())
        return float(kept.mean()), float(kept.std()), float(kept.min()), float(kept.max())

    def as_json(self) -> dict[str, Any]:
        """For the event `data` and the measured numbers."""
        return {
            "examined": self.examined,
            "total": self.total,
            "shape": list(self.shape),
            "mean": [round(float(value), 6) for value in self.mean],
            "std": [round(float(value), 6) for value in self.std],
            "min": self.low,
            "max": self.high,
            "non_finite": self.non_finite,
            "duplicates": self.duplicates,
            "contradictions": self.contradictions,
        }


def rows_of(inputs: Any) -> np.ndarray:
    """(N, …) of the first tensor in the inputs."""
    while not isinstance(inputs, torch.Tensor):
        values = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
        inputs = next(value for value in values if isinstance(value, (torch.Tensor, dict, tuple, list)))
    return inputs.detach().cpu().numpy() if inputs.dtype != torch.bfloat16 else inputs.float().cpu().numpy()
