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


@dataclass(frozen=True)
class Rotation:
    """(pixels − mean) turned by a matrix (D, D), in the shape of the pixels."""

    mean: Tensor
    matrix: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        flat = (pixels - self.mean).flatten(1)
        return (flat @ self.matrix).view(pixels.shape)


def pca(pixels: Tensor) -> Preprocess:
    """Decorrelated: turned onto the principal axes, the largest first, and all of it scaled by one number."""
    mean, values, axes = principal_axes(pixels)
    return Rotation(mean, axes / values.mean().clamp(min=1e-12).sqrt())


def whitening(pixels: Tensor) -> Preprocess:
    """Whitened and turned back (ZCA), so that pictures still look like pictures."""
    mean, values, axes = principal_axes(pixels)
    return Rotation(mean, (axes / _deviations(values)) @ axes.T)


def _deviations(values: Tensor) -> Tensor:
    """Deviations along the axes; the smallest are raised to a thousandth of the largest, so that noise stays small."""
    return values.clamp(min=0).sqrt().clamp(min=1e-3 * float(values.max()) ** 0.5)


def principal_axes(pixels: Tensor, most: int = 10_000) -> tuple[Tensor, Tensor, Tensor]:
    """Mean picture, variances (D,) and axes (D, D) in columns, largest first, from at most ``most`` examples."""
    mean = mean_picture(pixels)
    flat = (pixels[:most].float() - mean).flatten(1)
    values, axes = torch.linalg.eigh(flat.T @ flat / len(flat))
    return mean, values.flip(0), axes.flip(1)
