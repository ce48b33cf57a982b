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
    """The mean over all examples, (C, …), summed exactly."""
    wide = torch.float64 if pixels.is_floating_point() else torch.int64
    total = sum(chunk.sum(0, dtype=wide) for chunk in pixels.split(CHUNK))
    return (torch.as_tensor(total).double() / len(pixels)).float()


def channel_moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, shaped to broadcast over (C, …)."""
    moments = [_moments(channel) for channel in pixels.unbind(1)]
    shape = (-1, *[1] * (pixels.dim() - 2))
    mean, std = torch.tensor(moments, dtype=torch.float64).T
    return mean.float().view(shape), std.float().view(shape)


def _moments(values: Tensor) -> tuple[float, float]:
    """Mean and deviation; bytes are counted by value, ten times faster than squaring them."""
    if values.dtype != torch.uint8:
        return float(values.double().mean()), float(values.double().std(correction=0))
    counts = torch.bincount(values.reshape(-1), minlength=256).double() / values.numel()
    levels = torch.arange(256, dtype=torch.float64)
    mean = (counts * levels).sum()
    return float(mean), float((counts * (levels - mean).square()).sum().sqrt())


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
