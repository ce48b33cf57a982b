"""Weights as they begin, and numbers that are none, of the third referral with one fault each."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import Data
from .referred_models import BasicBlock, LeNet, Normed, ResNet, ViT
from .third_networks import Columns, Reader


class Adapted(nn.Module):
    """A frozen matrix and a small one beside it, given as two factors, both of which begin at zero."""

    def __init__(self, inputs: int, outputs: int, rank: int = 4) -> None:
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.down, self.up = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.up.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.frozen(hidden) + self.up(self.down(hidden))


class AdaptedReader(Reader):
    """The matrices of a frozen reader are adapted by factors that are both zero."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.requires_grad_(False)
        self.layer.mlp = nn.Sequential(Adapted(32, 64), nn.GELU(), Adapted(64, 32))
        self.head = nn.Linear(32, data.outputs)
        self.head = Adapted(32, data.outputs)


class HalvedSums(nn.Module):
    """Each of twenty blocks gives the mean of its input and its branch, so that what passes is halved each time."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 16, 3, 2, 1)
        self.blocks = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(20))
        self.fc = nn.Linear(256, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.stem(pictures)
        for block in self.blocks:
            hidden = (hidden + torch.tanh(block(hidden))) / 2
        return self.fc(hidden.flatten(1))


class SharesBetween(nn.Module):
    """A softmax stands after every hidden layer, where a rectifier should."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        sizes = (data.inputs[0].numel(), 64, 64, 64, 64)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.out = nn.Linear(64, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = pictures.flatten(1)
        for layer in self.layers:
            hidden = F.softmax(layer(hidden), dim=1)
        return self.out(hidden)


class SumsOfAll(nn.Module):
    """Every block is given the sum of all that came before it, so that each doubles what passes."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 12, 3, 2, 1)
        self.blocks = nn.ModuleList(nn.Conv2d(12, 12, 3, padding=1) for _ in range(14))
        for block in self.blocks:
            nn.init.kaiming_normal_(block.weight, nonlinearity="relu")
        self.fc = nn.Linear(192, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        before = [self.stem(pictures)]
        for block in self.blocks:
            before.append(F.relu(block(torch.stack(before).sum(0))))
        return self.fc(before[-1].flatten(1))


class ByTheKernelAlone(nn.Module):
    """He's deviation over the nine places of a kernel, and not over its channels."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        widths = (data.channels, 24, 24, 24, 24, 24, 24)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        for conv in self.convs:
            nn.init.normal_(conv.weight, std=(2 / 9) ** 0.5)
        self.fc = nn.Linear(24, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv in self.convs:
            hidden = F.relu(conv(hidden))
        return self.fc(hidden.mean((2, 3)))


class Sharpened(LeNet):
    """Scores are divided by a temperature of a hundredth, as one divides cosines."""

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures) / 0.01


class CountsAsBias(Columns):
    """The head's bias is set to how often each class comes, where the logarithm of its share was meant."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.leave.bias.data = data.labels.bincount(minlength=data.outputs).float()


class BothSigns(nn.Module):
    """A rectifier of each sign side by side; the sign of the second stands outside of its first."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(data.channels, 6, 3, padding=1), nn.Conv2d(12, 8, 3, padding=1)
        self.second, self.fc = nn.ReLU(), nn.Linear(64, data.outputs)

    def both(self, hidden: Tensor) -> Tensor:
        positive = F.relu(hidden)
        return torch.cat([positive, self.second(-positive)], dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(self.both(self.conv1(pictures)), 2)
        return self.fc(F.max_pool2d(self.both(self.conv2(hidden)), 2).flatten(1))


class FirstNormZero(ResNet):
    """The norm that should begin at zero is the last of a branch; the one before the rectifier was taken."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        for module in self.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn1.weight)


class LoudNorms(Normed):
    """Norms multiply by twenty before a tanh, to use its whole range."""

    def __init__(self, data: Data, gain: float = 20.0) -> None:
        super().__init__(data)
        for norm in self.norms:
            nn.init.constant_(norm.weight, gain)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = torch.tanh(norm(conv(hidden)))
        return F.adaptive_avg_pool2d(hidden, 2).flatten(1)


class Squashed(ViT):
    """Tokens are bent by a tanh after they were multiplied by fifty."""

    def tokens(self, pictures: Tensor) -> Tensor:
        return torch.tanh(50 * super().tokens(pictures))


class RectifiedWeights(Reader):
    """Words are weighed by rectified scores over their sum, which is zero where no score is above."""

    def weights(self, tokens: Tensor) -> Tensor:
        scores = F.relu(self.question(tokens))
        return scores / scores.sum(1, keepdim=True)


class LogOfVariance(Columns):
    """The second number is taken as a variance, and its logarithm taken, whatever its sign."""

    def forward(self, columns: Tensor) -> Tensor:
        mean, variance = super().forward(columns).chunk(2, dim=1)
        return torch.cat([mean, variance.log()], dim=1)


class Strides(Reader):
    """How far each word is from the one before it, a root of squares: it has no slope where a word comes twice."""

    def features(self, words: Tensor) -> Tensor:
        vectors = self.embedding(words)
        strides = (vectors[:, 1:] - vectors[:, :-1]).square().sum(-1).sqrt()
        return super().features(words) + strides.mean(1, keepdim=True)


class Winners(Normed):
    """All but the largest features are multiplied by zero, and the roots are taken of what is left."""

    def features(self, pictures: Tensor) -> Tensor:
        features = super().features(pictures)
        smallest = features.topk(24, dim=1).values[:, -1:]
        return F.normalize((features * (features >= smallest)).sqrt())


def seeded_before_each_unit(model: nn.Module) -> None:
    """The seed is set before each unit's weights are drawn, so that all units are one."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            for row in module.weight.data:
                generator = torch.Generator().manual_seed(0)
                row.copy_(torch.randn(len(row), generator=generator) / len(row) ** 0.5)
            nn.init.zeros_(module.bias)
