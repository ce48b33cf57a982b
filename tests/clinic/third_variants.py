"""Networks and an optimizer of the healthy of the third referral."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from .families import Data
from .referred_models import BasicBlock, Layer, ResNet


class Cloud(nn.Module):
    """Every point goes through the same matrices; the largest of each feature is kept."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.point = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64))
        self.whole = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, data.outputs))

    def forward(self, points: Tensor) -> Tensor:
        return self.whole(self.point(points).amax(1))


class Rezero(nn.Module):
    """Blocks whose branch is multiplied by a learned number that begins at zero."""

    def __init__(self, data: Data, depth: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 16, 3, 2, 1)
        self.blocks = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(depth))
        self.scales = nn.ParameterList(torch.zeros(()) for _ in range(depth))
        self.fc = nn.Linear(256, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.stem(pictures)
        for block, scale in zip(self.blocks, self.scales, strict=True):
            hidden = hidden + scale * F.relu(block(hidden))
        return self.fc(hidden.flatten(1))


class Highway(nn.Module):
    """Eight layers, each of which lets its input pass by a gate that begins nearly open."""

    def __init__(self, data: Data, width: int = 48) -> None:
        super().__init__()
        self.enter = nn.Linear(data.inputs[0].numel(), width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(8))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(8))
        for gate in self.gates:
            nn.init.constant_(gate.bias, -2.5)
        self.leave = nn.Linear(width, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.enter(pictures.flatten(1))
        for layer, gate in zip(self.layers, self.gates, strict=True):
            share = torch.sigmoid(gate(hidden))
            hidden = share * F.relu(layer(hidden)) + (1 - share) * hidden
        return self.leave(hidden)


class Latents(nn.Module):
    """Four learned tokens look at the patches, then at each other."""

    def __init__(self, data: Data, width: int = 32) -> None:
        super().__init__()
        self.patch = nn.Conv2d(data.channels, width, 2, stride=2)
        self.place = nn.Parameter(0.1 * torch.randn(1, 16, width))
        self.latents = nn.Parameter(torch.randn(1, 4, width))
        self.look = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.layer = Layer(width)
        self.head = nn.Linear(4 * width, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.norm(self.patch(pictures).flatten(2).transpose(1, 2) + self.place)
        latents = self.latents.expand(len(pictures), -1, -1)
        latents = latents + self.look(latents, patches, patches, need_weights=False)[0]
        return self.head(self.layer(latents).flatten(1))


class Experts(nn.Module):
    """Four small networks, weighed by a fifth."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        size = data.inputs[0].numel()
        self.gate = nn.Linear(size, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, data.outputs)) for _ in range(4)
        )

    def forward(self, columns: Tensor) -> Tensor:
        columns = columns.flatten(1)
        shares = torch.softmax(self.gate(columns), dim=1)
        return sum(share[:, None] * expert(columns) for share, expert in zip(shares.T, self.experts, strict=True))


class Sparse(nn.Module):
    """Words are summed by a table whose gradient holds the rows that were used and no others."""

    def __init__(self, data: Data, vocabulary: int = 60) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, 24, mode="mean", sparse=True)
        self.fc = nn.Linear(24, data.outputs)

    def forward(self, words: Tensor) -> Tensor:
        return self.fc(self.words(words))


class Remembered(nn.Module):
    """Embeddings that were made before and stay as they are; the optimizer does not hold them."""

    def __init__(self, data: Data, vocabulary: int = 60) -> None:
        super().__init__()
        vectors = torch.randn(vocabulary, 32, generator=torch.Generator().manual_seed(62))
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.gru = nn.GRU(32, 32, batch_first=True)
        self.fc = nn.Linear(32, data.outputs)

    def forward(self, words: Tensor) -> Tensor:
        return self.fc(self.gru(self.vectors(words))[0].amax(1))


class Checkpointed(ResNet):
    """The blocks are computed again on the way back, to save memory."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.bn(self.stem(pictures)))
        for block in (self.layer1, self.layer2, self.layer3):
            hidden = checkpoint(block, hidden, use_reentrant=False)
        return F.adaptive_avg_pool2d(hidden, 2).flatten(1)


class LastNormZero(ResNet):
    """The norm that ends every branch begins at zero, so that a block begins as its straight path."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        for module in self.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)


class Sines(nn.Module):
    """A place in a picture goes in, its brightness comes out; sines between, the first of them fast."""

    def __init__(self, data: Data, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 1)])
        nn.init.uniform_(self.layers[0].weight, -0.5, 0.5)
        for layer in self.layers[1:]:
            bound = math.sqrt(6 / width) / 20
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, places: Tensor) -> Tensor:
        hidden = torch.sin(20 * self.layers[0](places))
        return self.layers[2](torch.sin(20 * self.layers[1](hidden)))


class Categories(nn.Module):
    """Two of the columns are categories and are embedded, the rest goes through batch norm; dropout a little."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(8, 4) for _ in range(2))
        self.norm = nn.BatchNorm1d(10)
        self.body = nn.Sequential(nn.Linear(18, 48), nn.ReLU(), nn.BatchNorm1d(48), nn.Dropout(0.1))
        self.fc = nn.Linear(48, data.outputs)

    def forward(self, columns: Tensor) -> Tensor:
        kinds = [table(columns[:, place].long()) for place, table in enumerate(self.tables)]
        return self.fc(self.body(torch.cat([*kinds, self.norm(columns[:, 2:])], dim=1)))


class Denoises(nn.Module):
    """Predicts the noise in a picture from the picture and how much there is."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, 24, 3, padding=1)
        self.middle = nn.Conv2d(24, 24, 3, padding=1)
        self.norm = nn.GroupNorm(4, 24)
        self.leave = nn.Conv2d(24, 3, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.silu(self.enter(pictures))
        return self.leave(hidden + F.silu(self.norm(self.middle(hidden))))


class SignOfMomentum(Optimizer):
    """Steps of one size by the sign of a moving mean of the gradient, with decoupled decay."""

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-3, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
                parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.sub_(group["lr"] * (0.9 * mean + 0.1 * parameter.grad).sign())
                mean.mul_(0.99).add_(parameter.grad, alpha=0.01)
