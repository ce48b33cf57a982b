"""Hears which batch a DataLoader has just handed out, and of which data."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import RandomSampler, SequentialSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter

Source = tuple[Any, ...] | None
"""Tells data apart: the dataset, and the sampler where it draws only a part of it."""

_users: list[object] = []
_originals: list[Any] = []


class Fetched:
    """The last batch that any DataLoader of this process handed out."""

    batch: Any = None
    source: Source = None
    count: int = 0
    rounds: int = 0
    """How often a DataLoader has begun to hand out batches."""


def listen_to_loaders(user: object) -> None:
    """From now on keep `Fetched` up to date."""
    if not _originals:
        _originals.append(_BaseDataLoaderIter.__next__)
        _BaseDataLoaderIter.__next__ = _wrapped(_BaseDataLoaderIter.__next__)  # type: ignore[method-assign]
    _users.append(user)


def stop_listening_to_loaders(user: object) -> None:
    """The last to leave puts torch's own method back and lets the batch go."""
    if user in _users:
        _users.remove(user)
    if not _users and _originals:
        _BaseDataLoaderIter.__next__ = _originals.pop()  # type: ignore[method-assign]
        Fetched.batch = Fetched.source = None


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def __next__(iterator: Any) -> Any:
        batch = original(iterator)
        Fetched.batch, Fetched.source = batch, source_of(iterator)
        Fetched.count += 1
        Fetched.rounds += getattr(iterator, "_num_yielded", 1) == 1
        return batch

    return __next__


def source_of(iterator: Any) -> Source:
    """Loaders over the whole of one dataset are one source, whatever the order; a sampler of a part is its own."""
    sampler = getattr(getattr(iterator, "_index_sampler", None), "sampler", None)
    whole = sampler is None or isinstance(sampler, RandomSampler | SequentialSampler)
    return (id(getattr(iterator, "_dataset", None)), None if whole else id(sampler))


def tensors_in(batch: Any) -> list[Tensor]:
    """The tensors of a batch: a tensor, or a tuple, list or dict of them."""
    if isinstance(batch, Tensor):
        return [batch]
    parts = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, list | tuple) else ()
    return [each for part in parts for each in tensors_in(part)]


def base_of(tensor: Tensor) -> Tensor:
    """The tensor of which this one is a view, or itself."""
    base = None if tensor.is_inference() else tensor._base
    return tensor if base is None else base


def shares_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same one, or views of the same one."""
    if one is other:
        return True
    try:
        return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse and functional tensors have no storage to ask for
        return False


def labels_among(batch: Any, inputs: list[Tensor], examples: int) -> Tensor | None:
    """The one tensor of whole numbers in a batch that is not among the inputs and has an entry for each example."""
    given = {id(base_of(each)) for each in inputs} | {id(each) for each in inputs}
    found = [
        each
        for each in tensors_in(batch)
        if each.dtype in (torch.int64, torch.int32, torch.uint8)
        and each.dim()
        and each.shape[0] == examples
        and id(each) not in given
        and id(base_of(each)) not in given
    ]
    return found[0] if len(found) == 1 else None
