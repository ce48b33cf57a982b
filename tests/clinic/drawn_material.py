"""Data of drawn noise, strength and size: pictures, tables, series and words, and what spoils them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .families import SIDE, Data, patterns

VALIDATION = 256
Source = Callable[[], Data]


def _parted(inputs: Tensor, labels: Tensor, outputs: int) -> Data:
    """The last examples are for validation; numbers come to mean 0 and deviation 1."""
    if inputs.is_floating_point():
        inputs = (inputs - inputs.mean()) / inputs.std()
    return Data(inputs[:-VALIDATION], labels[:-VALIDATION], inputs[-VALIDATION:], labels[-VALIDATION:], outputs)


def pictures(count: int, classes: int, channels: int, strength: float, seed: int) -> Data:
    """Each class has its own bright pixels."""
    return patterns(count, classes, channels, 1.0, strength, seed)


def striped(count: int, noise: float, seed: int) -> Data:
    """Four directions of a wave of random phase."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    labels = torch.randint(0, 4, (total,), generator=generator)
    phase = 2 * math.pi * torch.rand(total, 1, 1, generator=generator)
    angle = (labels * math.pi / 4).reshape(-1, 1, 1)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    wave = torch.sin(1.6 * (torch.cos(angle) * rows + torch.sin(angle) * columns) + phase)
    inputs = wave.unsqueeze(1).repeat(1, 3, 1, 1) + noise * torch.randn(total, 3, SIDE, SIDE, generator=generator)
    return _parted(inputs, labels, 4)


def shades(count: int, noise: float, seed: int) -> Data:
    """A number told by how bright the four quarters of the picture are."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    coarse = torch.randn(total, 3, 2, 2, generator=generator)
    values = coarse.flatten(1) @ torch.randn(12, 1, generator=generator) / 3
    values = torch.tanh(values) + noise * torch.randn(total, 1, generator=generator)
    inputs = torch.nn.functional.interpolate(coarse, scale_factor=SIDE // 2)
    inputs = inputs + 0.5 * torch.randn(total, 3, SIDE, SIDE, generator=generator)
    return _parted(inputs, (values - values.mean()) / values.std(), 1)


def halves(count: int, strength: float, seed: int) -> Data:
    """Two classes of pictures, labelled `(N, 1)` by 0.0 and 1.0."""
    two = patterns(count, 2, 3, 1.0, strength, seed)
    return replace(
        two, labels=two.labels.float().unsqueeze(1), val_labels=two.val_labels.float().unsqueeze(1), outputs=1
    )


def table(count: int, columns: int, classes: int, spread: float, seed: int) -> Data:
    """Rows `(N, columns)`; each class is two clusters."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    centres = torch.randn(2 * classes, columns, generator=generator)
    cluster = torch.randint(0, 2 * classes, (total,), generator=generator)
    inputs = centres[cluster] + spread * torch.randn(total, columns, generator=generator)
    return _parted(inputs, cluster % classes, classes)


def readings(count: int, columns: int, noise: float, seed: int) -> Data:
    """A number `(N, 1)` from rows: a smooth function of three mixtures of the columns."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    inputs = torch.randn(total, columns, generator=generator)
    mixed = inputs @ torch.randn(columns, 3, generator=generator) / columns**0.5
    values = torch.sin(mixed[:, :1]) + torch.tanh(mixed[:, 1:2]) + 0.5 * mixed[:, 2:]
    values = values + noise * torch.randn(total, 1, generator=generator)
    return _parted(inputs, (values - values.mean()) / values.std(), 1)


def series(count: int, classes: int, noise: float, seed: int) -> Data:
    """Sixteen moments of three sensors `(N, 16, 3)`; each class swings at its own pace."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    labels = torch.randint(0, classes, (total,), generator=generator)
    pace = (0.35 + 0.45 * labels).reshape(-1, 1, 1)
    phase = 2 * math.pi * torch.rand(total, 1, 1, generator=generator)
    moments = torch.arange(16).reshape(1, -1, 1) * pace + phase + torch.tensor([0.0, 0.7, 1.4])
    inputs = torch.sin(moments) + noise * torch.randn(total, 16, 3, generator=generator)
    return _parted(inputs, labels, classes)


def words(count: int, classes: int, share: float, seed: int) -> Data:
    """Sentences `(N, 12)` of 64 words as numbers; a share of them is typical of the class."""
    generator = torch.Generator().manual_seed(seed)
    total = count + VALIDATION
    labels = torch.randint(0, classes, (total,), generator=generator)
    typical = labels.unsqueeze(1) * 6 + torch.randint(0, 6, (total, 12), generator=generator)
    other = torch.randint(0, 64, (total, 12), generator=generator)
    chosen = torch.rand(total, 12, generator=generator) < share
    return _parted(torch.where(chosen, typical, other), labels, classes)


def jittered(inputs: Tensor, by: float = 0.2) -> Tensor:
    """An augmentation: a little noise."""
    return inputs + by * torch.randn_like(inputs)


def erased(inputs: Tensor, share: float = 0.1) -> Tensor:
    """An augmentation: some numbers become zero."""
    return inputs * (torch.rand_like(inputs) > share)


def mispaired(inputs: Tensor) -> Tensor:
    """The inputs of a batch in another order, its labels in the old one."""
    return inputs[torch.randperm(len(inputs))]


def raised(inputs: Tensor, scale: float, offset: float) -> Tensor:
    """Another scale and another zero."""
    return inputs * scale + offset


def as_bytes(inputs: Tensor) -> Tensor:
    """Pixels of 0 to 255, as a file holds them."""
    return (inputs * 48 + 128).clamp(0, 255).round()


def one_loud(inputs: Tensor, scale: float) -> Tensor:
    """One channel or column counts in another unit."""
    louder = inputs.clone()
    louder[:, :1] *= scale
    return louder


def emptied(inputs: Tensor) -> Tensor:
    """Nothing is left of the pictures."""
    return torch.zeros_like(inputs)


def holed(inputs: Tensor, share: float, hole: float) -> Tensor:
    """Some examples hold one number that is none."""
    spoiled = inputs.clone()
    every = max(1, round(1 / share))
    flat = spoiled.reshape(len(spoiled), -1)
    flat[::every, 0] = hole
    return flat.reshape(inputs.shape)


def standardized_by_nothing(inputs: Tensor) -> Tensor:
    """One column never varies, and each is divided by its deviation."""
    flat = inputs.flatten(1).clone()
    flat[:, -1] = 0.0
    return ((flat - flat.mean(0)) / flat.std(0)).reshape(inputs.shape)


def few(source: Source, count: int) -> Data:
    """The first of the training examples alone."""
    data = source()
    return replace(data, inputs=data.inputs[:count], labels=data.labels[:count])


def few_over_and_over(source: Source, distinct: int) -> Data:
    """As many examples as before, but the same few of them."""
    data = source()
    chosen = torch.arange(len(data.inputs)) % distinct
    return replace(data, inputs=data.inputs[chosen], labels=data.labels[chosen])


def at_random(source: Source, count: int, of_inputs: bool) -> Data:
    """Few examples, whose labels or inputs were put in another order in both splits."""
    data = few(source, count)
    generator = torch.Generator().manual_seed(11)
    order = torch.randperm(len(data.inputs), generator=generator)
    val_order = torch.randperm(len(data.val_inputs), generator=generator)
    if of_inputs:
        return replace(data, inputs=data.inputs[order], val_inputs=data.val_inputs[val_order])
    return replace(data, labels=data.labels[order], val_labels=data.val_labels[val_order])


def leaking(source: Source, share: float) -> Data:
    """A share of the validation examples was taken from the training ones."""
    data = source()
    count = round(share * len(data.val_inputs))
    inputs, labels = data.val_inputs.clone(), data.val_labels.clone()
    inputs[:count], labels[:count] = data.inputs[:count], data.labels[:count]
    return replace(data, val_inputs=inputs, val_labels=labels)


def lopsided(source: Source, ratio: float, most: int) -> Data:
    """One class is met `ratio` times as often as each other, in both splits."""
    data = source()
    generator = torch.Generator().manual_seed(12)

    def chosen(labels: Tensor) -> Tensor:
        weights = torch.where(labels.flatten().long() == most, ratio, 1.0)
        return torch.multinomial(weights, len(labels), True, generator=generator)

    train, val = chosen(data.labels), chosen(data.val_labels)
    return replace(
        data,
        inputs=data.inputs[train],
        labels=data.labels[train],
        val_inputs=data.val_inputs[val],
        val_labels=data.val_labels[val],
    )


def in_order(source: Source) -> Data:
    """Class after class."""
    data = source()
    order = data.labels.flatten().argsort(stable=True)
    return replace(data, inputs=data.inputs[order], labels=data.labels[order])


def enlarged(labels: Tensor, scale: float, offset: float = 0.0) -> Tensor:
    """Labels of another scale, or counted from another number."""
    return labels * scale + offset


def counted_from_one(labels: Tensor) -> Tensor:
    """1 to C in place of 0 to C - 1."""
    return labels + 1


def in_a_row(labels: Tensor) -> Tensor:
    """`(N,)` in place of `(N, 1)`."""
    return labels.squeeze(1)
