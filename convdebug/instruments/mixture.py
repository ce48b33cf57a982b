"""How well the classes are mixed: each batch against the one before it and against all that was seen."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .accuracy import CLASS_LOSSES
from .instrument import Instrument, Moment, Scene
from .loss_inputs import BINARY
from .losses import favours_classes, ignored_label
from .table import Table
from .tally import Tally, told

OF_A_MIX = 2
"""Classes of which a mixed example is made."""
SAME_SHARE = 1e-4

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
    it, and its size. Where a label is a share of each class it counts as its largest. For a binary loss the classes are
    0 and 1, one number for each example; a batch with any other number (a share, a missing label) gives NaN. Labels of
    pixels and of words hang together by nature; they are left out. The event `labels-seen` {counts, batches, spread,
    weighted} says how often each class was met so far, whenever that has doubled; `weighted` where the loss may have
    made up for it.
    """

    name: ClassVar[str] = "mixture"
    weight: ClassVar[float] = 0.1
    pairs: ClassVar[bool] = True
    early: ClassVar[bool] = True
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._tally = Tally()
        self._classes = 0
        self._weighted = False
        self._step = 0
        self._before: tuple[int, Tensor] | None = None

    def record(self, moment: Moment) -> None:
        before, self._before = self._before, None
        counts = counts_of(moment)
        if counts is None or moment.labels is None:
            return
        labels = moment.labels
        if len(labels) == 0 or _examples([moment.inputs, moment.keywords]) not in (None, len(labels)):
            return
        self._count(moment, counts.nan_to_num(), len(labels))
        self._before = (moment.step, counts)
        if before is None or before[0] != moment.step - 1 or len(before[1]) != len(counts):
            return
        if counts.is_cpu:
            found = row_on_host(counts.numpy(), self._tally.counts, before[1].numpy(), len(labels))
            self.table.append(moment.step, SERIES, found)
        else:
            size = torch.full_like(counts[0], len(labels))
            row = torch.stack([entropy_of(counts), entropy_of(self._tally.counts), overlap_of(before[1], counts), size])
            row = torch.where(row.isnan().any(), torch.nan, row)
            self.scene.readback.put(row, lambda values: self.table.append(moment.step, SERIES, values))

    def finish(self) -> None:
        self._tell(over=True)

    def _count(self, moment: Moment, counts: Tensor, labels: int) -> None:
        if len(counts) != self._classes:
            self._classes, self._tally = len(counts), Tally()
        self._tally.add(counts.numpy() if counts.is_cpu else counts, labels)
        self._weighted |= moment.loss_reduction == "none" or favours_classes(moment.loss_name or "")
        self._step = moment.step
        self._tell()

    def _tell(self, over: bool = False) -> None:
        if not self._tally.is_due(over):
            return
        step, weighted, tally, classes = self._step, self._weighted, self._tally, self._classes

        def tell(counts: np.ndarray, squares: np.ndarray, batches: int) -> None:
            if batches:
                self.scene.run.event("labels-seen", step, **told(counts, squares, batches), weighted=weighted)

        if isinstance(tally.counts, Tensor):
            sums = torch.cat([tally.counts, tally.squares, tally.batches.reshape(1)])
            self.scene.readback.put(sums, lambda row: tell(row[:classes], row[classes:-1], int(row[-1])))
        else:
            tell(tally.counts, tally.squares, int(tally.batches))


def counts_of(moment: Moment) -> Tensor | None:
    """How often each class occurs in what the loss was given last (C,); None where these are no single classes."""
    labels, scores = moment.labels, moment.scores
    if labels is None or scores is None:
        return None
    if moment.loss_name in BINARY:
        return _answers(labels) if labels.dim() and labels.numel() == len(labels) else None
    if moment.loss_name in CLASS_LOSSES and scores.dim() == 2 and _are_shares(scores, labels):
        counts = _counts(labels.argmax(1), int(scores.shape[1]))
        return torch.where(_is_made_of_two_classes(labels), counts, torch.nan)
    whole = scores.dim() == 2 and labels.dtype == torch.int64 and labels.dim() == 1
    return _counts(labels, int(scores.shape[1]), ignored_label(moment.loss_name or "")) if whole else None


def _are_shares(scores: Tensor, labels: Tensor) -> bool:
    """Whether an example's label is a share of each class: one-hot, smoothed, or mixed of two examples."""
    return labels.is_floating_point() and labels.shape == scores.shape


def _is_made_of_two_classes(labels: Tensor) -> Tensor:
    """Whether each row has at most two shares above a common floor: no answer of another network, which has many."""
    if labels.shape[1] <= OF_A_MIX or not len(labels):
        return labels.isfinite().all()
    highest = labels.topk(OF_A_MIX + 1, dim=1).values
    return (highest[:, -1] - labels.amin(1)).amax() < SAME_SHARE


def _answers(labels: Tensor) -> Tensor:
    """How often 0 and 1 occur (2,); NaN where there is any other number."""
    counts = torch.stack([(labels == 0).sum(), (labels == 1).sum()]).float()
    return torch.where(counts.sum() == labels.numel(), counts, torch.nan)


def _counts(labels: Tensor, classes: int, ignored: int = -100) -> Tensor:
    """How often each class occurs (C,), without the one that a loss ignores and without labels below zero."""
    known = labels >= 0 if ignored < 0 else (labels >= 0) & (labels != ignored)
    if labels.is_cpu:
        return torch.bincount(labels[known].clamp_(max=classes - 1), minlength=classes).float()
    counts = torch.zeros(classes, device=labels.device)
    return counts.scatter_add_(0, labels.clamp(0, classes - 1), known.float())


def _examples(given: Any) -> int | None:
    """The length of the first tensor in what a model was given; None if there is none."""
    if isinstance(given, Tensor):
        return int(given.shape[0]) if given.dim() else None
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return next((found for part in given if (found := _examples(part)) is not None), None)
    return None
