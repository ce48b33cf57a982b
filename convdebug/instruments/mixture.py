"""How well the classes are mixed: each batch against the one before it and against all that was seen."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .instrument import Instrument, Moment, Scene
from .loss_inputs import BINARY
from .table import Table

SERIES = ("label/batch_entropy", "label/seen_entropy", "label/overlap", "label/count")


def entropy_of(counts: Tensor) -> Tensor:
    """The entropy (nats) of a distribution given by its counts (C,)."""
    shares = counts / counts.sum()
    return -torch.special.xlogy(shares, shares).sum()


def overlap_of(before: Tensor, after: Tensor) -> Tensor:
    """The share that two distributions, given by their counts (C,), have in common: 1 if they are the same."""
    return torch.minimum(before / before.sum(), after / after.sum()).sum()


def row_on_host(counts: np.ndarray, seen: np.ndarray, before: np.ndarray, size: int) -> np.ndarray:
    """What is written of a batch; numpy needs a fraction of torch's time for so few numbers."""
    shares, shares_seen, shares_before = (each / max(each.sum(), 1) for each in (counts, seen, before))
    entropies = [-float(part @ np.log(part)) for part in (shares[shares > 0], shares_seen[shares_seen > 0])]
    overlap = float(np.minimum(shares_before, shares).sum())
    row = np.array([*entropies, overlap, size])
    return np.full(4, np.nan) if not np.isfinite(counts.sum() + before.sum()) else row


class Mixture(Instrument):
    """`label/{batch_entropy,seen_entropy,overlap,count}`, where the loss is given one class for each example.

    The entropy of the batch's labels, of all labels seen so far, what the batch has in common with the one before
    it, and its size. For a binary loss the classes are 0 and 1, one number for each example; a batch with any other
    number (a share, a missing label) gives NaN. Labels of pixels and of words hang together by nature; they are left
    out.
    """

    name: ClassVar[str] = "mixture"
    weight: ClassVar[float] = 0.1
    pairs: ClassVar[bool] = True
    early: ClassVar[bool] = True
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._seen: Tensor | None = None
        self._before: tuple[int, Tensor] | None = None

    def record(self, moment: Moment) -> None:
        before, self._before = self._before, None
        counts = counts_of(moment)
        if counts is None or moment.labels is None:
            return
        labels = moment.labels
        if len(labels) == 0 or _examples([moment.inputs, moment.keywords]) not in (None, len(labels)):
            return
        known = counts.nan_to_num()
        self._seen = known if self._seen is None or len(self._seen) != len(counts) else self._seen + known
        self._before = (moment.step, counts)
        if before is None or before[0] != moment.step - 1 or len(before[1]) != len(counts):
            return
        if counts.is_cpu:
            found = row_on_host(counts.numpy(), self._seen.numpy(), before[1].numpy(), len(labels))
            self.table.append(moment.step, SERIES, found)
        else:
            size = torch.full_like(counts[0], len(labels))
            row = torch.stack([entropy_of(counts), entropy_of(self._seen), overlap_of(before[1], counts), size])
            row = torch.where(row.isnan().any(), torch.nan, row)
            self.scene.readback.put(row, lambda values: self.table.append(moment.step, SERIES, values))


def counts_of(moment: Moment) -> Tensor | None:
    """How often each class occurs in what the loss was given last (C,); None where these are no single classes."""
    labels, scores = moment.labels, moment.scores
    if labels is None or scores is None:
        return None
    if moment.loss_name in BINARY:
        return _answers(labels) if labels.dim() and labels.numel() == len(labels) else None
    whole = scores.dim() == 2 and labels.dtype == torch.int64 and labels.dim() == 1
    return _counts(labels, int(scores.shape[1])) if whole else None


def _answers(labels: Tensor) -> Tensor:
    """How often 0 and 1 occur (2,); NaN where there is any other number."""
    counts = torch.stack([(labels == 0).sum(), (labels == 1).sum()]).float()
    return torch.where(counts.sum() == labels.numel(), counts, torch.nan)


def _counts(labels: Tensor, classes: int) -> Tensor:
    """How often each class occurs (C,); labels below zero are those that a loss ignores."""
    if labels.is_cpu:
        return torch.bincount(labels[labels >= 0].clamp_(max=classes - 1), minlength=classes).float()
    counts = torch.zeros(classes, device=labels.device)
    return counts.scatter_add_(0, labels.clamp(0, classes - 1), (labels >= 0).float())


def _examples(given: Any) -> int | None:
    """The length of the first tensor in what a model was given; None if there is none."""
    if isinstance(given, Tensor):
        return int(given.shape[0]) if given.dim() else None
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return next((found for part in given if (found := _examples(part)) is not None), None)
    return None
