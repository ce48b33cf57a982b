"""Batches in an order fixed by seed and epoch, entered at any batch, from whatever holds a target's examples."""

import itertools
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from convdebug.catalogue.datasets.pictures import PictureDataset, as_batch

LABEL_KEYS = ("labels", "label", "targets", "target", "y", "class")


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Inside, torch, numpy and random draw from ``key``; afterwards their states are what they were."""
    number = zlib.crc32(",".join(map(str, key)).encode())
    python, array = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            torch.manual_seed(number)
            random.seed(number)
            np.random.seed(number)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def generator(*key: int) -> torch.Generator:
    """A generator of torch that starts from ``key``."""
    return torch.Generator().manual_seed(zlib.crc32(",".join(map(str, key)).encode()))


@dataclass(frozen=True)
class Source:
    """Where batches come from: a data set with how to batch it, or a DataLoader too special to be taken apart."""

    dataset: Any
    batch_size: int
    shuffle: bool
    collate_fn: Callable[[list[Any]], Any] | None = None
    workers: int = 0
    drop_last: bool = False
    loader: DataLoader[Any] | None = None

    @property
    def examples(self) -> int | None:
        """How many examples there are; None where nobody knows."""
        return len(self.dataset) if hasattr(self.dataset, "__len__") else None

    @property
    def batches_per_epoch(self) -> int | None:
        """How many batches an epoch has; None where nobody knows."""
        if self.loader is not None:
            return len(self.loader) if hasattr(self.loader.dataset, "__len__") else None
        return None if self.examples is None else len(self._sizes(self.examples))

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of an epoch from number ``start`` on; torch's random state is left alone."""
        if self.loader is not None:
            return itertools.islice(_seeded_first(self.loader, seed, epoch), start, None)
        if isinstance(self.dataset, IterableDataset):
            return itertools.islice(iter(self._loader(seed, epoch, batch_size=self.batch_size)), start, None)
        order = self._order(seed, epoch)[start:]
        if isinstance(self.dataset, PictureDataset) and not self.workers:
            return map(self.dataset.keyed(seed, epoch).__getitems__, order)
        return iter(self._loader(seed, epoch, batch_sampler=order))

    def places(self, seed: int, epoch: int, batch: int) -> list[int] | None:
        """Which examples of the data set are in a batch of an epoch; None where a loader of the user's chooses them."""
        if self.loader is not None or isinstance(self.dataset, IterableDataset):
            return None
        order = self._order(seed, epoch)
        return order[batch] if batch < len(order) else None

    def _order(self, seed: int, epoch: int) -> list[list[int]]:
        total = len(self.dataset)
        order = torch.randperm(total, generator=generator(seed, epoch)) if self.shuffle else torch.arange(total)
        return [chunk.tolist() for chunk in order[: sum(self._sizes(total))].split(self.batch_size)]

    def _sizes(self, total: int) -> list[int]:
        sizes = batch_sizes(total, self.batch_size)
        return [size for size in sizes if size == self.batch_size] if self.drop_last else sizes

    def _loader(self, seed: int, epoch: int, **how: Any) -> DataLoader[Any]:
        dataset: Any = self.dataset
        collate: Callable[..., Any] | None = self.collate_fn
        if isinstance(dataset, PictureDataset):
            dataset, collate = dataset.keyed(seed, epoch), as_batch
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)
        return DataLoader(
            dataset, collate_fn=collate, num_workers=self.workers, generator=generator(seed, epoch), **how
        )


def source(data: Any, batch_size: int, shuffle: bool, collate_fn: Callable[..., Any] | None, workers: int) -> Source:
    """The source of the batches of a data set, of a pair of tensors, or of a DataLoader.

    An ordinary DataLoader is taken apart, so that its order can be fixed and its batch size changed; it keeps its own
    sampler's choice to shuffle or not.
    """
    if not isinstance(data, DataLoader):
        return Source(as_dataset(data), batch_size or 32, shuffle, collate_fn, workers)
    size = batch_size or data.batch_size or 32
    collate = collate_fn or data.collate_fn
    if not _ordinary(data):
        return Source(data.dataset, size, shuffle, collate, data.num_workers, loader=data)
    shuffled = isinstance(getattr(data, "sampler", None), RandomSampler)
    return Source(data.dataset, size, shuffled, collate, data.num_workers, data.drop_last)


def _ordinary(loader: DataLoader[Any]) -> bool:
    if isinstance(loader.dataset, IterableDataset):
        return loader.batch_size is not None
    plain = type(loader.sampler) is SequentialSampler or (
        type(loader.sampler) is RandomSampler and not loader.sampler.replacement
    )
    return plain and type(loader.batch_sampler) is BatchSampler


def _seeded_first(loader: DataLoader[Any], seed: int, epoch: int) -> Iterator[Any]:
    """A loader's batches; samplers draw their order when the first batch is asked for."""
    with seeded(seed, epoch):
        batches = iter(loader)
        first = list(itertools.islice(batches, 1))
    yield from first
    yield from batches


def examples_of(data: Any) -> Any:
    """The data set behind a DataLoader, or the data themselves."""
    return data.dataset if isinstance(data, DataLoader) else data


def as_dataset(data: Any) -> Any:
    """A pair of tensors (inputs, labels) as a data set; anything else as it is."""
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(each, Tensor) for each in data):
        return TensorDataset(*data)
    return data


def batch_sizes(total: int, batch_size: int) -> list[int]:
    """The sizes of the batches of an epoch; a last batch of one example alone is left out (batch norm needs two)."""
    sizes = [batch_size] * (total // batch_size) + [total % batch_size] * (total % batch_size > 0)
    return sizes[:-1] if len(sizes) > 1 and sizes[-1] == 1 and batch_size > 1 else sizes


def split_batch(batch: Any) -> tuple[Any, Any]:
    """(inputs, labels) of a batch that is a tuple, or a mapping with labels under one of the usual keys.

    The inputs of a mapping with several are a mapping again; a batch without labels gives None for them.
    """
    if isinstance(batch, Mapping):
        label = next((key for key in LABEL_KEYS if key in batch), None)
        inputs = {key: value for key, value in batch.items() if key != label}
        labels = None if label is None else batch[label]
        return (next(iter(inputs.values())) if len(inputs) == 1 else inputs), labels
    if isinstance(batch, Sequence) and not isinstance(batch, Tensor | str):
        labels = batch[-1] if len(batch) > 1 else None
        return (batch[0] if len(batch) <= 2 else tuple(batch[:-1])), labels
    return batch, None


def call_model(model: nn.Module, inputs: Any) -> Any:
    """The model's output: mappings are passed by keyword, tuples by position."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def to_device(batch: Any, device: torch.device | str) -> Any:
    """The same batch with every tensor on ``device``."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        moved = [to_device(each, device) for each in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else type(batch)(moved)
    return batch
