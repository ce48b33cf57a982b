"""Networks, weights and choices of parameters of the healthy that were referred."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from .families import SIDE, Data
from .referred_models import BasicBlock, LeNet, Normed, ResNet


def grouped(data: Data) -> nn.Sequential:
    """Convolutions with group norm, which needs no batch."""
    layers: list[nn.Module] = []
    for before, width in ((data.channels, 16), (16, 32)):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.GroupNorm(4, width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, data.outputs))


def separable(data: Data) -> nn.Sequential:
    """Depthwise and pointwise convolutions with Hardswish."""
    layers: list[nn.Module] = [nn.Conv2d(data.channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
    for before, width, stride in ((16, 32, 2), (32, 32, 1)):
        layers += [
            nn.Hardswish(), nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before),
            nn.Hardswish(), nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width),
        ]  # fmt: skip
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, data.outputs))


def dilated(data: Data) -> nn.Sequential:
    """Convolutions with holes and ELU."""
    return nn.Sequential(
        nn.Conv2d(data.channels, 16, 3, padding=1), nn.ELU(),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2), nn.ELU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 24, 3, padding=2, dilation=2), nn.ELU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(96, data.outputs),
    )  # fmt: skip


class SqueezeExcite(BasicBlock):
    """Every channel of the branch is weighed by a sigmoid of all of them."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__(before, width, stride)
        self.squeeze, self.excite = nn.Linear(width, width // 4), nn.Linear(width // 4, width)

    def branch(self, inputs: Tensor) -> Tensor:
        hidden = super().branch(inputs)
        shares = torch.sigmoid(self.excite(F.relu(self.squeeze(hidden.mean((2, 3))))))
        return hidden * shares[:, :, None, None]


class Squeezed(ResNet):
    """Residual blocks with squeeze and excitation."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.layer1, self.layer2, self.layer3 = SqueezeExcite(16, 16), SqueezeExcite(16, 24, 2), SqueezeExcite(24, 24)


class BeforeActivation(BasicBlock):
    """Norm and rectifier come before each convolution, and in training a fifth of the branches is left out."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__(before, width, stride)
        self.bn1 = nn.BatchNorm2d(before)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(inputs))))))
        if self.training:
            kept = (torch.rand(len(inputs), 1, 1, 1) < 0.8).float()
            hidden = hidden * kept / 0.8
        return self.shortcut(inputs) + hidden


class PreActivation(ResNet):
    """Residual blocks with activation first and stochastic depth."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.layer1, self.layer2 = BeforeActivation(16, 16), BeforeActivation(16, 24, 2)
        self.layer3 = BeforeActivation(24, 24)


class ReadsRows(nn.Module):
    """A recurrent network that reads a picture row by row."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.gru = nn.GRU(data.channels * SIDE, 48, batch_first=True)
        self.fc = nn.Linear(48, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        _, last = self.gru(pictures.permute(0, 2, 1, 3).flatten(2))
        return self.fc(last[0])


class Words(nn.Module):
    """Words are embedded; a transformer reads them, padding is not attended to."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 32, padding_idx=0)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc = nn.Linear(32, data.outputs)

    def forward(self, words: Tensor) -> Tensor:
        padding = words == 0
        hidden = self.encoder(self.embedding(words), src_key_padding_mask=padding)
        there = (~padding).unsqueeze(-1)
        return self.fc((hidden * there).sum(1) / there.sum(1))


class BagOfWords(nn.Module):
    """The mean of embedded words and two matrices."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(40, 32, mode="mean")
        self.fc1, self.fc2 = nn.Linear(32, 48), nn.Linear(48, data.outputs)

    def forward(self, words: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(self.embedding(words))))


class Cosine(LeNet):
    """Scores are cosines between features and class vectors, times six."""

    def head(self, features: Tensor) -> Tensor:
        hidden = F.relu(self.fc1(features.flatten(1)))
        return 6 * F.linear(F.normalize(hidden), F.normalize(self.fc2.weight))


class TwoHeads(Normed):
    """A second head in the middle, whose scores come in training only."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.second = nn.Linear(32, data.outputs)

    def forward(self, pictures: Tensor) -> Any:
        hidden = pictures
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            hidden = F.relu(norm(conv(hidden)))
            if place == 1:
                middle = hidden
        scores = self.fc(F.adaptive_avg_pool2d(hidden, 2).flatten(1))
        return (scores, self.second(middle.mean((2, 3)))) if self.training else scores


def of_both_heads(outputs: Any, labels: Tensor) -> Tensor:
    """The second head counts a third."""
    if isinstance(outputs, tuple):
        return F.cross_entropy(outputs[0], labels) + 0.3 * F.cross_entropy(outputs[1], labels)
    return F.cross_entropy(outputs, labels)


def norm_at_the_door(data: Data) -> nn.Sequential:
    """Batch norm is the first layer, so that it does not matter how pixels come."""
    return nn.Sequential(
        nn.BatchNorm2d(data.channels),
        nn.Conv2d(data.channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(96, data.outputs),
    )  # fmt: skip


def autoencoder(data: Data) -> nn.Sequential:
    """Twelve numbers between two matrices and two."""
    size = data.inputs[0].numel()
    return nn.Sequential(
        nn.Flatten(), nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 12), nn.Linear(12, 64), nn.ReLU(),
        nn.Linear(64, size), nn.Unflatten(1, data.inputs.shape[1:]),
    )  # fmt: skip


def convolutional_autoencoder(data: Data) -> nn.Sequential:
    """Strided convolutions down, transposed ones up."""
    return nn.Sequential(
        nn.Conv2d(data.channels, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(24, 16, 2, 2), nn.ReLU(), nn.ConvTranspose2d(16, data.channels, 2, 2),
    )  # fmt: skip


def logistic(data: Data) -> nn.Sequential:
    """One matrix and no more."""
    return nn.Sequential(nn.Flatten(), nn.Linear(data.inputs[0].numel(), data.outputs))


def layer_normed(data: Data) -> nn.Sequential:
    """Matrices, layer norm and tanh."""
    size = data.inputs[0].numel()
    return nn.Sequential(
        nn.Flatten(), nn.Linear(size, 64), nn.LayerNorm(64), nn.Tanh(), nn.Linear(64, 64), nn.LayerNorm(64), nn.Tanh(),
        nn.Linear(64, data.outputs),
    )  # fmt: skip


def weight_normed(model: nn.Module) -> None:
    """Length and direction of every kernel are parameters of their own."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            parametrizations.weight_norm(module)


def orthogonal(model: nn.Module) -> None:
    """Orthogonal matrices of the gain of tanh."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, nn.init.calculate_gain("tanh"))
            nn.init.zeros_(module.bias)


def he_and_zero_head(model: nn.Module) -> None:
    """He's weights, and a head of zeros so that the first loss is that of chance."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.zeros_([module for module in model.modules() if isinstance(module, nn.Linear)][-1].weight)


def with_prelu(model: nn.Module) -> nn.Module:
    """Every rectifier learns its slope."""
    parts = [nn.PReLU() if isinstance(part, nn.ReLU) else part for part in model.children()]
    return nn.Sequential(*parts)


def decay_kernels_only(model: Any) -> list[Any]:
    """Biases and norms do not decay."""
    kernels = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    return [{"params": kernels, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]


def head_of(model: Any) -> list[Any]:
    """The last matrix and its bias."""
    return list([module for module in model.modules() if isinstance(module, nn.Linear)][-1].parameters())


def faster_head(model: Any) -> list[Any]:
    """The head trains at five times the rate."""
    head = {id(parameter) for parameter in head_of(model)}
    body = [parameter for parameter in model.parameters() if id(parameter) not in head]
    return [{"params": body, "lr": 1e-3}, {"params": head_of(model), "lr": 5e-3}]
