"""Five families of small networks over the same pictures, and the pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SIDE = 8
Activation = Callable[[], nn.Module]


@dataclass(frozen=True)
class Data:
    """Pictures `(N, C, 8, 8)` and labels `(N,)` of both splits; `outputs` scores an example."""

    inputs: Tensor
    labels: Tensor
    val_inputs: Tensor
    val_labels: Tensor
    outputs: int

    @property
    def channels(self) -> int:
        return int(self.inputs.shape[1])


def patterns(
    count: int = 2048, classes: int = 10, channels: int = 3, noise: float = 1.0, strength: float = 1.0, seed: int = 0
) -> Data:
    """Each class brightens its own pixels under noise; of mean 0 and deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    templates = torch.randn(classes, channels, SIDE, SIDE, generator=generator) * strength
    labels = torch.randint(0, classes, (count + 256,), generator=generator)
    inputs = templates[labels] + noise * torch.randn(count + 256, channels, SIDE, SIDE, generator=generator)
    inputs = (inputs - inputs.mean()) / inputs.std()
    return Data(inputs[:count], labels[:count], inputs[count:], labels[count:], classes)


def stripes(count: int = 2048, seed: int = 1) -> Data:
    """Four directions of a wave of random phase: nothing a linear classifier could tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count + 256,), generator=generator)
    phase = 2 * math.pi * torch.rand(count + 256, 1, 1, generator=generator)
    angle = (labels * math.pi / 4).reshape(-1, 1, 1)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    wave = torch.sin(1.6 * (torch.cos(angle) * rows + torch.sin(angle) * columns) + phase)
    inputs = wave.unsqueeze(1).repeat(1, 3, 1, 1) + 0.3 * torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    inputs = (inputs - inputs.mean()) / inputs.std()
    return Data(inputs[:count], labels[:count], inputs[count:], labels[count:], 4)


def regression(count: int = 2048, seed: int = 2) -> Data:
    """A number `(N, 1)` that a random network of one hidden layer would give, of deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    hidden = torch.tanh(inputs.flatten(1) @ torch.randn(3 * SIDE * SIDE, 4, generator=generator) / 8)
    values = hidden @ torch.randn(4, 1, generator=generator)
    values = (values - values.mean()) / values.std()
    return Data(inputs[:count], values[:count], inputs[count:], values[count:], 1)


def yes_or_no(count: int = 2048, seed: int = 3) -> Data:
    """Two classes as numbers `(N, 1)` in {0, 1}, for a binary loss."""
    two = patterns(count, classes=2, strength=0.3, seed=seed)
    labels, val_labels = two.labels.float().unsqueeze(1), two.val_labels.float().unsqueeze(1)
    return Data(two.inputs, labels, two.val_inputs, val_labels, 1)


def mlp(data: Data, activation: Activation = nn.ReLU, depth: int = 2, width: int = 48) -> nn.Sequential:
    """`depth` hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = data.channels * SIDE * SIDE
    for _ in range(depth):
        layers += [nn.Linear(size, width), activation()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, data.outputs))


def convnet(data: Data, activation: Activation = nn.ReLU, drop: float = 0.0) -> nn.Sequential:
    """Two convolutions with pooling, one hidden layer, no normalization."""
    return nn.Sequential(
        nn.Conv2d(data.channels, 12, 3, padding=1), activation(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), activation(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(drop), nn.Linear(96, 32), activation(), nn.Linear(32, data.outputs),
    )  # fmt: skip


def batchnorm(data: Data, activation: Activation = nn.ReLU, drop: float = 0.0) -> nn.Sequential:
    """Three convolutions, each with batch norm, averaged over the picture."""
    layers: list[nn.Module] = []
    channels = data.channels
    for width in (12, 24, 24):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), activation()]
        channels = width
    tail = (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(drop), nn.Linear(96, data.outputs))
    return nn.Sequential(*layers, nn.MaxPool2d(2), *tail)


class Block(nn.Module):
    """Two convolutions beside a straight path."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2 = activation()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.act1(self.norm1(self.conv1(inputs)))
        return self.act2(inputs + self.norm2(self.conv2(hidden)))


def residual(data: Data, activation: Activation = nn.ReLU, drop: float = 0.0) -> nn.Sequential:
    """A stem and two residual blocks."""
    return nn.Sequential(
        nn.Conv2d(data.channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), activation(), nn.MaxPool2d(2),
        Block(16, activation), Block(16, activation),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(drop), nn.Linear(64, data.outputs),
    )  # fmt: skip


class Transformer(nn.Module):
    """Sixteen patches as tokens, two encoder layers with layer norm first, the mean of the tokens."""

    def __init__(self, channels: int, outputs: int, drop: float = 0.0, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Unfold(2, stride=2)
        self.embed = nn.Linear(4 * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, drop, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.embed(self.patches(pictures).transpose(1, 2)) + self.place
        return self.head(self.norm(self.encoder(tokens)).mean(1))


def transformer(data: Data, activation: Activation = nn.GELU, drop: float = 0.0) -> nn.Module:
    """A small vision transformer; its activation is GELU."""
    return Transformer(data.channels, data.outputs, drop)


FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "convnet": convnet,
    "batchnorm": batchnorm,
    "residual": residual,
    "transformer": transformer,
}
