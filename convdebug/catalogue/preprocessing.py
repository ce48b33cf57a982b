"""Preprocessing: each function looks at the training pixels (N, C, …) once and gives what is done to every batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from convdebug.catalogue.datasets.pictures import Preprocess

CHUNK = 4096
"""Pictures that are turned into floats at once while statistics are taken."""


@dataclass(frozen=True)
class Affine:
    """(pixels − shift) · scale; both broadcast over a batch."""

    shift: Tensor
    scale: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        return (pixels - self.shift) * self.scale


@dataclass(frozen=True)
class Untouched:
    """Pixels as they come."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return pixels


def untouched(pixels: Tensor) -> Preprocess:
    return Untouched()


def zero_center(pixels: Tensor) -> Preprocess:
    """Minus the mean picture: one mean a pixel and channel."""
    return Affine(mean_picture(pixels), torch.ones(()))


def per_channel_mean(pixels: Tensor) -> Preprocess:
    """Minus one mean a channel."""
    mean, _ = channel_moments(pixels)
    return Affine(mean, torch.ones(()))


def normalize(pixels: Tensor) -> Preprocess:
    """Minus one mean a channel, over one standard deviation a channel; a constant channel is only centred."""
    mean, std = channel_moments(pixels)
    return Affine(mean, 1 / torch.where(std > 0, std, 1.0))


def mean_picture(pixels: Tensor) -> Tensor:
    """The mean over all examples, (C, …), summed in float64."""
    total = sum(chunk.double().sum(0) for chunk in pixels.split(CHUNK))
    return torch.as_tensor(total / len(pixels)).float()


def channel_moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, shaped to broadcast over (C, …)."""
    axes = [0, *range(2, pixels.dim())]
    total = squares = torch.zeros((), dtype=torch.float64)
    for chunk in pixels.split(CHUNK):
        exact = chunk.double()
        total = total + exact.sum(axes)
        squares = squares + exact.square().sum(axes)
    count = pixels.numel() / pixels.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    shape = (-1, *[1] * (pixels.dim() - 2))
    return mean.float().view(shape), std.float().view(shape)
