"""Labelled pictures held as one uint8 tensor, and the data set that hands them out as ready batches."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from convdebug.settings import DataConfig

Batch = tuple[Tensor, Tensor]
Preprocess = Callable[[Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Pictures:
    """Pictures (N, C, H, W) as uint8 (or vectors (N, D) as float32) and labels (N,) as int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> "Pictures":
        """The first ``count``, or all."""
        return Pictures(self.pixels[:count], self.labels[:count])

    def last(self, count: int) -> "Pictures":
        """The last ``count``."""
        return Pictures(self.pixels[-count:], self.labels[-count:])


@dataclass(frozen=True)
class PictureData:
    """The two splits of a data set and the names of its classes."""

    train: Pictures
    val: Pictures
    class_names: tuple[str, ...]

    def limited(self, settings: DataConfig) -> "PictureData":
        """The same after ``holdout``, ``limit`` and ``val_limit``."""
        train, val = self.train, self.val
        if settings.holdout:
            kept = max(1, len(train) - settings.holdout)
            train, val = train.first(kept), train.last(len(train) - kept)
        return replace(self, train=train.first(settings.limit), val=val.first(settings.val_limit))


class PictureDataset(Dataset[Batch]):
    """One split as the network sees it. ``__getitems__`` gives a whole batch, so it needs no collating.

    A batch is (inputs (N, C, H, W) float32, labels (N,) int64). Augmentation draws from ``key`` and the first index of
    the batch alone: the same key gives the same batches in any process, also when an epoch is entered in the middle.
    """

    def __init__(
        self, pictures: Pictures, class_names: Sequence[str], preprocess: Preprocess, augment: Augment | None = None
    ) -> None:
        self.pictures = pictures
        self.classes = tuple(class_names)
        self.preprocess = preprocess
        self.augment = augment
        self.key: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Batch:
        inputs, labels = self.__getitems__([index])
        return inputs[0], labels[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        chosen = torch.as_tensor(indices)
        pixels = self.pictures.pixels[chosen]
        if self.augment is not None:
            pixels = self.augment(pixels, self._generator(int(chosen[0])))
        return self.preprocess(pixels.float()), self.pictures.labels[chosen]

    def _generator(self, first_index: int) -> torch.Generator:
        text = ",".join(map(str, (*self.key, first_index)))
        return torch.Generator().manual_seed(zlib.crc32(text.encode()))

    def keyed(self, *key: int) -> "PictureDataset":
        """The same data whose augmentation draws from ``key``."""
        other = PictureDataset(self.pictures, self.classes, self.preprocess, self.augment)
        other.key = key
        return other

    def plain(self) -> "PictureDataset":
        """The same data without augmentation."""
        return PictureDataset(self.pictures, self.classes, self.preprocess)

    def raw(self, indices: Sequence[int]) -> np.ndarray:
        """The pictures themselves for display: uint8 (N, H, W, C)."""
        return self.pictures.pixels[torch.as_tensor(indices)].permute(0, 2, 3, 1).contiguous().numpy()


def as_batch(batch: Batch) -> Batch:
    """The collate function of a PictureDataset: batches come whole."""
    return batch
