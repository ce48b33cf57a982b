"""Networks in the forms in which tutorials and reports show them: classes of their own, functional activations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import SIDE, Data
from .regimen import Regimen, adam

Change = dict[str, Any]
"""Fields of a regimen and their values."""


class Dense(nn.Module):
    """Three matrices and functional rectifiers."""

    def __init__(self, data: Data, width: int = 64, outputs: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(data.inputs[0].numel(), width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, outputs or data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        return F.relu(self.fc2(F.relu(self.fc1(pictures.flatten(1)))))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc3(self.features(pictures))


class LeNet(nn.Module):
    """Two convolutions, two pools, two matrices; everything else is functional."""

    def __init__(self, data: Data, outputs: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(data.channels, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        self.fc1 = nn.Linear(24 * (SIDE // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, outputs or data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(F.relu(self.conv1(pictures)), 2)
        return F.max_pool2d(F.relu(self.conv2(hidden)), 2)

    def head(self, features: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(features.flatten(1))))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


class Normed(nn.Module):
    """Convolution, batch norm, rectifier, three times; the mean over the picture."""

    def __init__(self, data: Data, outputs: int | None = None) -> None:
        super().__init__()
        widths = (data.channels, 16, 32, 32)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.fc = nn.Linear(32 * 4, outputs or data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = F.relu(norm(conv(hidden)))
        return F.adaptive_avg_pool2d(hidden, 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.features(pictures))


class BasicBlock(nn.Module):
    """Two convolutions and a projection where the width or the size changes."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        plain = before == width and stride == 1
        self.shortcut = nn.Identity() if plain else nn.Conv2d(before, width, 1, stride, bias=False)

    def branch(self, inputs: Tensor) -> Tensor:
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(inputs)))))

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.branch(inputs) + self.shortcut(inputs))


class ResNet(nn.Module):
    """A stem and three blocks, the second of which halves the picture."""

    def __init__(self, data: Data, outputs: int | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = BasicBlock(16, 16), BasicBlock(16, 24, 2), BasicBlock(24, 24)
        self.fc = nn.Linear(24 * 4, outputs or data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.bn(self.stem(pictures)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        return F.adaptive_avg_pool2d(hidden, 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.features(pictures))


class Attention(nn.Module):
    """Attention of several heads written out, with a mask of the tokens that may be looked at."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
        count, length, width = tokens.shape
        split = self.qkv(tokens).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) / (width // self.heads) ** 0.5
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None, None, :], float("-inf"))
        mixed = torch.softmax(scores, dim=-1) @ value
        return self.out(mixed.transpose(1, 2).reshape(count, length, width))


class Layer(nn.Module):
    """Attention and two matrices with GELU, each after a layer norm and beside a straight path."""

    def __init__(self, width: int, drop: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.drop = nn.Dropout(drop)

    def forward(self, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
        tokens = tokens + self.drop(self.attention(self.norm1(tokens), seen))
        return tokens + self.drop(self.mlp(self.norm2(tokens)))


class ViT(nn.Module):
    """Patches of two by two by a strided convolution, a class token, two layers."""

    def __init__(self, data: Data, outputs: int | None = None, drop: float = 0.0, width: int = 32) -> None:
        super().__init__()
        self.patch = nn.Conv2d(data.channels, width, 2, stride=2)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 1 + (SIDE // 2) ** 2, width))
        self.layers = nn.ModuleList(Layer(width, drop) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs or data.outputs)

    def tokens(self, pictures: Tensor) -> Tensor:
        patches = self.patch(pictures).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(len(patches), -1, -1), patches], dim=1) + self.place

    def features(self, pictures: Tensor) -> Tensor:
        tokens = self.tokens(pictures)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)[:, 0]

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": Dense,
    "convnet": LeNet,
    "batchnorm": Normed,
    "residual": ResNet,
    "transformer": ViT,
}
BASE: dict[str, Change] = {family: {"optimizer": adam()} for family in ("convnet", "transformer")}


def made(model: Callable[..., nn.Module], *settings: Any, **more: Any) -> Change:
    """Another network in the family's place."""
    return {"make_model": lambda data: model(data, *settings, **more)}


def each(families: str, change: Change) -> dict[str, Change]:
    """The same change in several families."""
    return dict.fromkeys(families.split(), change)


def regimen_of(family: str, change: Change) -> Regimen:
    """The family's network and optimizer, and what is changed."""
    settings: Change = {"family": family}
    return Regimen(**(settings | made(MODELS[family]) | BASE.get(family, {}) | change))
