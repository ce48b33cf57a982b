"""Random changes of a batch of training pictures (N, C, H, W), uint8 in and out, drawn from a given generator."""

import torch
from torch import Tensor
from torch.nn import functional


def untouched(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The pictures as they are."""
    return pixels


def flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture mirrored left to right with probability one half."""
    mirrored = torch.rand(len(pixels), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)


def crop(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture shifted by up to an eighth of its side (4 of 32 pixels); the border is filled with its mirror."""
    count, _, height, width = pixels.shape
    margin = max(1, min(height, width) // 8)
    padded = functional.pad(pixels.float(), [margin] * 4, mode="reflect").to(pixels.dtype)
    down, right = torch.randint(0, 2 * margin + 1, (2, count), generator=generator)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(count), :, down, right]


def crop_and_flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted, then mirrored."""
    return flip(crop(pixels, generator), generator)
