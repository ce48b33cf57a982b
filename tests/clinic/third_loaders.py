"""Loaders and schedules of the third referral with one fault each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, TensorDataset

from .families import SIDE, Data
from .referred_loops import endless, tell
from .regimen import Regimen


def usual(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any, loader: Any) -> None:
    """Nothing but the usual steps over some loader."""
    model.train()
    for step, inputs, labels in endless(regimen, loader):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


class Buffered(IterableDataset[tuple[Tensor, Tensor]]):
    """Records in the order of the file, drawn from a buffer of sixty-four."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        buffer: list[int] = []
        for place in range(len(self.data.inputs)):
            buffer.append(place)
            if len(buffer) == 64:
                chosen = buffer.pop(int(torch.randint(64, ())))
                yield self.data.inputs[chosen], self.data.labels[chosen]


def from_a_buffer(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A file that lies kind after kind is shuffled in a buffer much shorter than a kind."""
    usual(regimen, data, model, optimizer, watched, DataLoader(Buffered(data), regimen.batch, drop_last=True))


class BatchesInAnyOrder(BatchSampler):
    """Batches of neighbours, in any order: the batches are shuffled and not the examples."""

    def __init__(self, count: int, batch: int) -> None:
        self.count, self.batch = count, batch

    def __iter__(self) -> Iterator[list[int]]:
        for first in torch.randperm(len(self)).tolist():
            yield list(range(first * self.batch, (first + 1) * self.batch))

    def __len__(self) -> int:
        return self.count // self.batch


def shuffles_batches(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The order of the batches is drawn, and what is in a batch never changes."""
    sampler = BatchesInAnyOrder(len(data.inputs), regimen.batch)
    loader = DataLoader(TensorDataset(data.inputs, data.labels), batch_sampler=sampler)
    usual(regimen, data, model, optimizer, watched, loader)


def brightest_first(examples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch is put in order by its pictures, as for packing them; its labels stay as they came."""
    pictures = sorted((picture for picture, _ in examples), key=lambda picture: -float(picture.sum()))
    return torch.stack(pictures), torch.stack([label for _, label in examples])


def sorts_half(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """What collects a batch sorts one half of it."""
    examples = TensorDataset(data.inputs, data.labels)
    loader = DataLoader(examples, regimen.batch, shuffle=True, drop_last=True, collate_fn=brightest_first)
    usual(regimen, data, model, optimizer, watched, loader)


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Noise is added to every picture as it is asked for."""

    def __init__(self, data: Data, strength: float = 1.5) -> None:
        self.data, self.strength = data, strength

    def __len__(self) -> int:
        return len(self.data.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.data.inputs[index] + self.strength * torch.randn(3, SIDE, SIDE), self.data.labels[index]


def seeds_alike(_worker: int) -> None:
    """Every worker is given the same seed, so that a training can be repeated."""
    torch.manual_seed(2024)


def workers_alike(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Two workers draw the same noise, epoch after epoch."""
    loader = DataLoader(Noisy(data), regimen.batch, shuffle=True, drop_last=True, num_workers=2, worker_init_fn=seeds_alike)  # fmt: skip  # noqa: E501
    usual(regimen, data, model, optimizer, watched, loader)


class WholeFile(Dataset[tuple[Tensor, Tensor]]):
    """The file of all pictures is read anew for every one."""

    def __init__(self, data: Data, path: Path) -> None:
        self.path, self.labels = path, data.labels
        np.save(path, data.inputs.repeat(4, 1, 1, 1).numpy())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(np.load(self.path)[index].copy()), self.labels[index]


def reads_the_whole_file(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A loader without workers over a dataset that reads all to give one."""
    with tempfile.TemporaryDirectory() as folder:
        examples = WholeFile(data, Path(folder) / "pictures.npy")
        loader = DataLoader(examples, regimen.batch, shuffle=True, drop_last=True)
        usual(regimen, data, model, optimizer, watched, loader)


def in_percent(optimizer: Optimizer) -> Any:
    """What is left of the training, in steps where a share was meant, multiplies the rate."""
    return lr_scheduler.LambdaLR(optimizer, lambda step: max(160 - step, 0))


def short_warm_up(width: int = 32, warm_up: int = 4) -> Callable[[Optimizer], Any]:
    """The schedule of the first transformers, its warm-up counted in epochs: highest after four steps."""

    def schedule(optimizer: Optimizer) -> Any:
        return lr_scheduler.LambdaLR(
            optimizer, lambda step: width**-0.5 * min((step + 1) ** -0.5, (step + 1) * warm_up**-1.5)
        )

    return schedule


def warm_up_of_another_size(optimizer: Optimizer) -> Any:
    """The warm-up of a training of a million steps."""
    return lr_scheduler.LinearLR(optimizer, start_factor=1e-7, total_iters=1_000_000)


def power_of_epochs(optimizer: Optimizer) -> Any:
    """Down to zero within twelve epochs, of which every batch is counted as one."""
    return lr_scheduler.PolynomialLR(optimizer, total_iters=12, power=2.0)
