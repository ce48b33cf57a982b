"""Networks of drawn depth, width and activation, as people write them: features, a head, and what comes after it."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import Data
from .regimen import same

Between = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Between] = {
    "relu": F.relu, "tanh": torch.tanh, "gelu": F.gelu, "silu": F.silu, "leaky": F.leaky_relu, "elu": F.elu,
    "sigmoid": torch.sigmoid, "none": same,
}  # fmt: skip
MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "leaky": nn.LeakyReLU, "elu": nn.ELU,
    "sigmoid": nn.Sigmoid, "none": nn.Identity,
}  # fmt: skip


def log_softmax(scores: Tensor) -> Tensor:
    """Logarithms of probabilities."""
    return F.log_softmax(scores, dim=1)


def softmax(scores: Tensor) -> Tensor:
    """Probabilities."""
    return F.softmax(scores, dim=1)


@dataclass(frozen=True)
class Shape:
    """`written` is by a class whose forward calls functions, or as one `Sequential`; `last` follows the head.

    `between` is done to the features before the head: nothing in a healthy network.
    """

    family: str
    written: str = "class"
    activation: str = "relu"
    depth: int = 2
    width: int = 32
    drop: float = 0.0
    last: Between = same
    between: Between = same
    variant: str = ""


class Net(nn.Module):
    """What all have in common."""

    head: nn.Module

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.act = FUNCTIONS[shape.activation]
        self.between = shape.between
        self.last = shape.last
        self.dropout = nn.Dropout(shape.drop)

    def features(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.head(self.between(self.features(inputs))))


class Perceptron(Net):
    """Hidden layers one after another."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        sizes = [data.inputs[0].numel()] + [shape.width] * shape.depth
        self.layers = nn.ModuleList(nn.Linear(here, there) for here, there in itertools.pairwise(sizes))
        self.head = nn.Linear(shape.width, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        hidden = inputs.flatten(1)
        for layer in self.layers:
            hidden = self.act(layer(hidden))
        return self.dropout(hidden)


class Convnet(Net):
    """Two or three convolutions, pooled twice, and a hidden layer; no normalization."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        width = shape.width
        self.conv1 = nn.Conv2d(data.channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, padding=1) if shape.depth > 2 else None
        self.fc1 = nn.Linear(2 * width * 4, 48)
        self.head = nn.Linear(48, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        hidden = F.max_pool2d(self.act(self.conv1(inputs)), 2)
        hidden = self.act(self.conv2(hidden))
        if self.conv3 is not None:
            hidden = self.act(self.conv3(hidden))
        hidden = F.max_pool2d(hidden, 2).flatten(1)
        return self.dropout(self.act(self.fc1(hidden)))


class Normed(Net):
    """Convolutions, each followed by batch norm."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        sizes = [data.channels] + [shape.width] * shape.depth
        pairs = list(itertools.pairwise(sizes))
        self.convs = nn.ModuleList(nn.Conv2d(here, there, 3, padding=1, bias=False) for here, there in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(there) for _, there in pairs)
        self.head = nn.Linear(4 * shape.width, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        hidden = inputs
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            hidden = self.act(norm(conv(hidden)))
            if place == 0:
                hidden = F.max_pool2d(hidden, 2)
        return self.dropout(F.adaptive_avg_pool2d(hidden, 2).flatten(1))


class Branch(nn.Module):
    """Two convolutions beside the straight path; the first activation comes before or after its norm."""

    def __init__(self, width: int, act: Between, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act = act
        self.first = first

    def forward(self, inputs: Tensor) -> Tensor:
        if self.first:
            hidden = self.conv1(self.act(self.bn1(inputs)))
            return inputs + self.conv2(self.act(self.bn2(hidden)))
        hidden = self.act(self.bn1(self.conv1(inputs)))
        return self.act(self.bn2(self.conv2(hidden)) + inputs)


class ResNet(Net):
    """A stem, `depth` blocks, the mean of the quarters."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        self.stem = nn.Conv2d(data.channels, shape.width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(shape.width)
        self.blocks = nn.Sequential(
            *(Branch(shape.width, self.act, shape.variant == "preactivated") for _ in range(shape.depth))
        )
        self.head = nn.Linear(4 * shape.width, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        hidden = F.max_pool2d(self.act(self.bn(self.stem(inputs))), 2)
        return self.dropout(F.adaptive_avg_pool2d(self.blocks(hidden), 2).flatten(1))


class Layer(nn.Module):
    """Attention and two linear layers, each after a layer norm and beside a straight path."""

    def __init__(self, width: int, act: Between, drop: float, over_batch: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=not over_batch)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(drop)
        self.act = act

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed, normed, need_weights=False)[0])
        return tokens + self.dropout(self.down(self.act(self.up(self.norm2(tokens)))))


class Attentive(Net):
    """Patches, moments or words as tokens; `variant` "over the batch" attends along the wrong axis."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        width = shape.width
        self.of_pictures = data.inputs.dim() == 4
        self.embed = embedding(data, width)
        count = 16 if self.of_pictures else data.inputs.shape[1]
        self.place = nn.Parameter(0.02 * torch.randn(1, count, width))
        over_batch = shape.variant == "over the batch"
        self.layers = nn.ModuleList(Layer(width, self.act, shape.drop, over_batch) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        tokens = F.unfold(inputs, 2, stride=2).transpose(1, 2) if self.of_pictures else inputs
        tokens = self.embed(tokens) + self.place
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens).mean(1)


class Recurrent(Net):
    """A GRU or an LSTM; the mean of its outputs goes to the head."""

    def __init__(self, shape: Shape, data: Data) -> None:
        super().__init__(shape)
        self.embed = embedding(data, shape.width)
        kind: Any = nn.LSTM if shape.variant == "lstm" else nn.GRU
        self.rnn = kind(shape.width, shape.width, batch_first=True)
        self.head = nn.Linear(shape.width, data.outputs)

    def features(self, inputs: Tensor) -> Tensor:
        return self.dropout(self.rnn(self.embed(inputs))[0].mean(1))


def embedding(data: Data, width: int) -> nn.Module:
    """Of words, or of what is told in numbers."""
    if not data.inputs.is_floating_point():
        return nn.Embedding(64, width)
    return nn.Linear(4 * data.channels if data.inputs.dim() == 4 else data.inputs.shape[2], width)


class Does(nn.Module):
    """A function as a module."""

    def __init__(self, function: Between) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


def in_sequence(shape: Shape, data: Data) -> nn.Sequential:
    """The same networks of the first three families as one `Sequential`."""
    act, width, layers = MODULES[shape.activation], shape.width, list[nn.Module]()
    if shape.family == "mlp":
        size = data.inputs[0].numel()
        layers.append(nn.Flatten())
        for _ in range(shape.depth):
            layers += [nn.Linear(size, width), act()]
            size = width
    elif shape.family == "convnet":
        size, channels = 48, data.channels
        for place in range(shape.depth):
            there = width if place == 0 else 2 * width
            layers += [nn.Conv2d(channels, there, 3, padding=1), act()]
            channels = there
            if place in (0, shape.depth - 1):
                layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(channels * 4, size), act()]
    else:
        size, channels = 4 * width, data.channels
        for place in range(shape.depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), act()]
            channels = width
            if place == 0:
                layers.append(nn.MaxPool2d(2))
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    parts: OrderedDict[str, nn.Module] = OrderedDict(features=nn.Sequential(*layers))
    if shape.drop:
        parts["drop"] = nn.Dropout(shape.drop)
    if shape.between is not same:
        parts["between"] = Does(shape.between)
    parts["head"] = nn.Linear(size, data.outputs)
    if shape.last is not same:
        parts["last"] = Does(shape.last)
    return nn.Sequential(parts)


WRITTEN: dict[str, Callable[[Shape, Data], nn.Module]] = {
    "mlp": Perceptron, "convnet": Convnet, "batchnorm": Normed, "residual": ResNet, "transformer": Attentive,
    "recurrent": Recurrent,
}  # fmt: skip


def build(data: Data, shape: Shape) -> nn.Module:
    """The network of that shape for that data."""
    if shape.written == "sequential":
        return in_sequence(shape, data)
    return WRITTEN[shape.family](shape, data)
