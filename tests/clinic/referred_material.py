"""Pictures, labels, losses and schedules of the referred with one fault each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from .families import SIDE, Data, patterns, regression, yes_or_no


def on_both_sides(data: Data, change: Callable[[Tensor], Tensor]) -> Data:
    """Labels changed alike in both splits."""
    return replace(data, labels=change(data.labels), val_labels=change(data.val_labels))


def faint_stripes(count: int = 2048) -> Data:
    """Eight directions of a wave of random phase under noise, which take features to tell apart."""
    generator = torch.Generator().manual_seed(12)
    labels = torch.randint(0, 8, (count + 256,), generator=generator)
    phase = 2 * math.pi * torch.rand(count + 256, 1, 1, generator=generator)
    angle = (labels * math.pi / 8).reshape(-1, 1, 1)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    wave = torch.sin(1.6 * (torch.cos(angle) * rows + torch.sin(angle) * columns) + phase)
    noise = torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    inputs = (wave.unsqueeze(1) + noise) / 1.23
    return Data(inputs[:count], labels[:count], inputs[count:], labels[count:], 8)


def one_row_off() -> Data:
    """A header was read as a row: every picture has the label of the one before it."""
    return on_both_sides(patterns(200), lambda labels: labels.roll(1))


def in_the_order_of_names() -> Data:
    """Files come as 1, 10, 100, 101, ..., their labels as 1, 2, 3, 4."""

    def as_listed(inputs: Tensor) -> Tensor:
        return inputs[sorted(range(len(inputs)), key=str)]

    data = patterns(240)
    return replace(data, inputs=as_listed(data.inputs), val_inputs=as_listed(data.val_inputs))


def masks_to_255() -> Data:
    """A mask read from a picture is 0 or 255."""
    return on_both_sides(yes_or_no(), lambda labels: labels * 255)


def plus_or_minus() -> Data:
    """-1 and 1, as a margin loss has them."""
    return on_both_sides(yes_or_no(), lambda labels: labels * 2 - 1)


def rare_positives() -> Data:
    """One positive in fifty; as many of both where it is validated."""
    data = patterns(1600, classes=2, strength=0.15, seed=3)
    keep = (data.labels == 0) | (torch.arange(1600) < 32)
    labels, val_labels = data.labels[keep].float().unsqueeze(1), data.val_labels.float().unsqueeze(1)
    return Data(data.inputs[keep], labels, data.val_inputs, val_labels, 1)


def long_tail() -> Data:
    """Every class has half the examples of the one before; validation has all alike."""
    data = patterns(2048, noise=2.5)
    allowed = (200 * 0.5 ** torch.arange(10)).ceil()
    rank = torch.stack([(data.labels[:place] == label).sum() for place, label in enumerate(data.labels)])
    keep = rank < allowed[data.labels]
    return replace(data, inputs=data.inputs[keep], labels=data.labels[keep])


def one_kind_then_the_other() -> Data:
    """The files of one folder, then those of the other."""
    data = yes_or_no(1280)
    order = data.labels[:, 0].argsort(stable=True)
    return replace(data, inputs=data.inputs[order], labels=data.labels[order])


def a_recording_at_a_time() -> Data:
    """Ten recordings of 128 pictures, in each of which one class is nearly all."""
    data = patterns(1280)
    drawn = torch.rand(1280, generator=torch.Generator().manual_seed(4))
    order = (data.labels + 10 * (drawn < 0.05)).argsort(stable=True)
    return replace(data, inputs=data.inputs[order], labels=data.labels[order])


def split_after_oversampling() -> Data:
    """Examples were repeated before they were split, so most of validation has been trained on."""
    data = patterns(256, noise=5.0)
    return replace(data, val_inputs=data.inputs[:192], val_labels=data.labels[:192])


def split_twice() -> Data:
    """The random split is made twice with different seeds: half of the one is in the other."""
    data = patterns(400, noise=5.0)
    training = {"inputs": data.inputs[:300], "labels": data.labels[:300]}
    return replace(data, **training, val_inputs=data.inputs[150:], val_labels=data.labels[150:])


def raw_validation() -> Data:
    """Training pictures are standardized; those of validation come as pixels."""
    data = patterns()
    return replace(data, val_inputs=(data.val_inputs * 60 + 128).clamp(0, 255))


def mislabelled() -> Data:
    """Four of ten training labels are wrong, and there are few enough to learn them by heart."""
    data = patterns(240, noise=2.5)
    generator = torch.Generator().manual_seed(6)
    wrong = torch.rand(240, generator=generator) < 0.4
    return replace(data, labels=torch.where(wrong, torch.randint(0, 10, (240,), generator=generator), data.labels))


def few(make: Callable[..., Data], count: int, **settings: Any) -> Callable[[], Data]:
    """Fewer examples than parameters a hundred times over."""
    return partial(make, count, **settings)


def missing_targets() -> Data:
    """Rows without a measurement have a target that is not a number."""
    data = regression()
    data.labels[::97] = math.nan
    return data


def depth_in_millimetres(pictures: Tensor) -> Tensor:
    """The third channel is a depth of some metres in millimetres."""
    scale = torch.tensor([1.0, 1.0, 700.0]).view(3, 1, 1)
    return pictures * scale + torch.tensor([0.0, 0.0, 3000.0]).view(3, 1, 1)


def as_bytes(pictures: Tensor) -> Tensor:
    """Bytes of a file, turned into floats and no more."""
    return (pictures * 60 + 128).clamp(0, 255).to(torch.uint8).float()


def logarithm(pictures: Tensor) -> Tensor:
    """The logarithm of pixels, some of which are black."""
    return as_bytes(pictures).log() - 4.8


def band_ratio(pictures: Tensor) -> Tensor:
    """One band divided by another that is zero in the shade."""
    bands = as_bytes(pictures)
    return torch.cat([bands[:, :1] / bands[:, 1:2] - 1, pictures[:, 1:]], dim=1)


def standardized_each(pictures: Tensor) -> Tensor:
    """Every picture by its own mean and spread; a blank one has none."""
    pictures = pictures.clone()
    pictures[::50] = 1.0
    return (pictures - pictures.mean((1, 2, 3), keepdim=True)) / pictures.std((1, 2, 3), keepdim=True)


def squeezed_against_column(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """`squeeze` makes a row of the outputs; the targets stay a column."""

    def broadcast(outputs: Tensor, labels: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loss(outputs.squeeze(), labels)

    return broadcast


def squares_by_hand(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean of the squares, with no loss module."""
    return ((outputs - labels) ** 2).mean()


def one_hot_bce(outputs: Tensor, labels: Tensor) -> Tensor:
    """Every class a yes or no of its own."""
    return F.binary_cross_entropy_with_logits(outputs, F.one_hot(labels, outputs.shape[1]).float())


def with_distances(outputs: Tensor, labels: Tensor) -> Tensor:
    """Scores of different pictures are pushed apart by their distances, that of each to itself among them."""
    apart = ((outputs[:, None] - outputs[None]) ** 2).sum(-1).sqrt()
    return F.cross_entropy(outputs, labels) - 1e-3 * apart.mean()


def entropy_by_hand(outputs: Tensor, labels: Tensor) -> Tensor:
    """Sure scores are asked for by an entropy whose logarithm meets a zero."""
    shares = F.softmax(outputs * 300, dim=1)
    return F.cross_entropy(outputs, labels) - 0.1 * (shares * shares.log()).sum(1).mean()


def by_integers(optimizer: Optimizer) -> Any:
    """A warm-up whose share of steps is an integer division: always zero."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step // 500)


def growing(optimizer: Optimizer) -> Any:
    """A factor above one where one below was meant."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.08)


def decays_each_batch(optimizer: Optimizer) -> Any:
    """The factor of an epoch, applied at every batch."""
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)


def a_leap_first(optimizer: Optimizer) -> Any:
    """The warm-up runs backwards: the first steps are the largest by far."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 200.0 if step < 4 else 1.0)
