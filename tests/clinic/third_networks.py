"""Networks for tables, waves, texts and pictures of the third referral, as they should be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import SIDE, Data
from .referred_models import Layer


class Columns(nn.Module):
    """A table: two matrices with SiLU."""

    def __init__(self, data: Data, width: int = 48, outputs: int | None = None) -> None:
        super().__init__()
        self.enter = nn.Linear(data.inputs[0].numel(), width)
        self.hidden = nn.Linear(width, width)
        self.leave = nn.Linear(width, outputs or data.outputs)

    def forward(self, columns: Tensor) -> Tensor:
        return self.leave(F.silu(self.hidden(F.silu(self.enter(columns.flatten(1))))))


class Recurrent(nn.Module):
    """A gated recurrent network over the rows of a picture; the last state is scored."""

    def __init__(self, data: Data, batch_first: bool = True) -> None:
        super().__init__()
        self.gru = nn.GRU(data.channels * SIDE, 40, batch_first=batch_first)
        self.score = nn.Linear(40, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        rows = pictures.permute(0, 2, 1, 3).flatten(2)
        return self.score(self.gru(rows)[0][:, -1])


class Waveform(nn.Module):
    """Three strided convolutions over time and the mean of what they find."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(1, 12, 7, 2, 3), nn.ReLU(), nn.Conv1d(12, 24, 5, 2, 2), nn.ReLU(), nn.Conv1d(24, 24, 3), nn.ReLU()
        )
        self.fc = nn.Linear(24, data.outputs)

    def forward(self, signals: Tensor) -> Tensor:
        return self.fc(self.convs(signals).mean(2))


class Segmenter(nn.Module):
    """A class for every pixel by convolutions with ever larger holes."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.out = nn.Conv2d(16, data.outputs, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.conv1(pictures), 0.1)
        hidden = F.leaky_relu(self.conv2(hidden), 0.1) + hidden
        return self.out(F.leaky_relu(self.conv3(hidden), 0.1))


class Speaker(nn.Module):
    """Says the next word from those before it; scores come as the loss likes them, classes second."""

    def __init__(self, data: Data, width: int = 32, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.outputs, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, 12, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, data.outputs, bias=False)
        if tied:
            nn.init.normal_(self.embedding.weight, std=0.1)
            self.head.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        tokens = self.embedding(words) + self.place[:, : words.shape[1]]
        ahead = torch.ones(words.shape[1], words.shape[1], dtype=torch.bool).triu(1)
        return self.head(self.norm(self.layers(tokens, mask=ahead))).transpose(1, 2)


class Reader(nn.Module):
    """Words are embedded and weighed by a learned question; a layer reads what is left."""

    def __init__(self, data: Data, width: int = 32, vocabulary: int = 60) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layer = Layer(width)
        self.question = nn.Linear(width, 1)
        self.head = nn.Linear(width, data.outputs)

    def weights(self, tokens: Tensor) -> Tensor:
        return torch.softmax(self.question(tokens), dim=1)

    def features(self, words: Tensor) -> Tensor:
        tokens = self.layer(self.embedding(words))
        return (self.weights(tokens) * tokens).sum(1)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.features(words))


class Squeezes(nn.Module):
    """Down to ten numbers and up again, over flat pictures."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        size = data.inputs[0].numel()
        self.encoder = nn.Sequential(nn.Linear(size, 64), nn.GELU(), nn.Linear(64, 10))
        self.decoder = nn.Sequential(nn.Linear(10, 64), nn.GELU(), nn.Linear(64, size))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.decoder(self.encoder(pictures))


class Branches(nn.Module):
    """Convolutions of three sizes side by side, twice."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(data.channels, 8, size, padding=size // 2) for size in (1, 3, 5))
        self.second = nn.ModuleList(nn.Conv2d(24, 8, size, padding=size // 2) for size in (1, 3, 5))
        self.fc = nn.Linear(24 * 4, data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(torch.cat([F.relu(conv(pictures)) for conv in self.first], dim=1), 2)
        hidden = torch.cat([F.relu(conv(hidden)) for conv in self.second], dim=1)
        return F.max_pool2d(hidden, 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.features(pictures))
