"""Networks, weights and choices of parameters of the third referral with one fault each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from .families import Data
from .referred_models import LeNet, Normed, ResNet, ViT
from .third_networks import Branches, Columns, Reader, Recurrent, Speaker, Squeezes


class HeadAtTheFirstBatch(Branches):
    """The last matrix is made when the first batch shows how wide the features are, after the optimizer."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        del self.fc
        self.outputs = data.outputs
        self.head: nn.Linear | None = None

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.features(pictures)
        if self.head is None:
            self.head = nn.Linear(features.shape[1], self.outputs)
        return self.head(features)


class LayersUnheard(ViT):
    """The layers are called and what they give is not kept; the mean of the bare tokens is scored."""

    def features(self, pictures: Tensor) -> Tensor:
        tokens = self.tokens(pictures)
        for layer in self.layers:
            layer(tokens)
        return self.norm(tokens).mean(1)


class NearestCode(Squeezes):
    """What is squeezed is replaced by the nearest of some codes; nothing is handed back past the choice."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.codes = nn.Parameter(0.3 * torch.randn(64, 10))

    def forward(self, pictures: Tensor) -> Tensor:
        squeezed = self.encoder(pictures)
        nearest = torch.cdist(squeezed, self.codes).argmin(1)
        return self.decoder(self.codes[nearest])


class MeanOfExperts(nn.Module):
    """Three small networks vote by the mean of their probabilities, which is given to cross entropy."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.experts = nn.ModuleList(LeNet(data) for _ in range(3))

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.stack([F.softmax(expert(pictures), dim=1) for expert in self.experts]).mean(0)


class SharesOfWords(Speaker):
    """The next word's probabilities, ready to be drawn from, are given to cross entropy."""

    def forward(self, words: Tensor) -> Tensor:
        return super().forward(words).softmax(1)


class EndsInSigmoid(Squeezes):
    """The decoder ends in a sigmoid, and so does the loss."""

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(pictures))


class RunningSum(Branches):
    """A sum along the features runs along the batch instead."""

    def features(self, pictures: Tensor) -> Tensor:
        features = super().features(pictures)
        return features.cumsum(0) / torch.arange(1, len(features) + 1).unsqueeze(1)


class FirstState(Recurrent):
    """What is scored is the state that was handed in, not the one that came out."""

    def forward(self, pictures: Tensor) -> Tensor:
        rows = pictures.permute(0, 2, 1, 3).flatten(2)
        state = torch.zeros(1, len(pictures), 40)
        _, _last = self.gru(rows, state)
        return self.score(state[0])


class DropsInAll(Normed):
    """Features of convolutions with much dropout, a network whose validation forgets the mode of a part."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.drop = nn.Dropout(0.6)

    def features(self, pictures: Tensor) -> Tensor:
        return self.drop(super().features(pictures))


class NormOfOnePixel(nn.Module):
    """Maps shrink to one pixel and are normalized there, over as many numbers as there are pictures."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in ((data.channels, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(before, width, 2, stride=2), nn.BatchNorm2d(width), nn.LeakyReLU(0.1)]
        self.body, self.fc = nn.Sequential(*layers), nn.Linear(32, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.body(pictures).flatten(1))


class ProjectedNorm(ResNet):
    """Features are projected and normalized over the batch before they are scored."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.project, self.norm = nn.Linear(96, 48), nn.BatchNorm1d(48)
        self.fc = nn.Linear(48, data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        return F.relu(self.norm(self.project(super().features(pictures))))


class DropsPixels(Columns):
    """Nine pixels of ten are dropped at the door and nine units of ten behind it."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.pixels, self.units = nn.Dropout(0.9), nn.Dropout(0.9)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.silu(self.hidden(F.silu(self.enter(self.pixels(pictures.flatten(1))))))
        return self.leave(self.units(hidden))


class DropsWords(Reader):
    """Nearly all of every word's numbers are dropped, and nearly all of what is read."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.drop = nn.Dropout(0.93)

    def features(self, words: Tensor) -> Tensor:
        tokens = self.layer(self.drop(self.embedding(words)))
        return self.drop((self.weights(tokens) * tokens).sum(1))


class Slope(torch.autograd.Function):
    """A leaky rectifier with a backward of its own, in which the two sides were exchanged."""

    @staticmethod
    def forward(context: Any, hidden: Tensor) -> Tensor:
        context.save_for_backward(hidden)
        return torch.where(hidden > 0, hidden, 0.1 * hidden)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (hidden,) = context.saved_tensors
        return torch.where(hidden > 0, 0.1 * gradient, -gradient)


class OwnSlope(LeNet):
    """Rectifiers with a slope that was derived by hand."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(Slope.apply(self.conv1(pictures)), 2)
        return F.max_pool2d(Slope.apply(self.conv2(hidden)), 2)


class KeepsHidden(Branches):
    """Features are kept for a picture of them at the end, with all that they were computed from."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.kept: list[Tensor] = []

    def features(self, pictures: Tensor) -> Tensor:
        features = super().features(pictures)
        self.kept.append(features)
        return features


def gradients_by_the_data_set(model: nn.Module) -> None:
    """Gradients are divided by the number of examples, on top of the mean that the loss takes."""
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient / 60000)


def frozen_from_the_wrong_end(model: nn.Module) -> None:
    """All but the last two parameters were to be frozen while the head warms up; all but the first two are."""
    for parameter in list(model.parameters())[2:]:
        parameter.requires_grad = False


def normed_after_the_optimizer(model: Any) -> list[nn.Parameter]:
    """The kernels are split into length and direction after the optimizer was given them whole."""
    held = list(model.parameters())
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d):
            parametrizations.weight_norm(module)
    return held


def faster_toward_the_input(model: Any) -> list[dict[str, Any]]:
    """The rate was to shrink from the scores to the input layer by layer, and grows."""
    held = list(model.parameters())[::-1]
    return [{"params": [parameter], "lr": 0.02 * 1.6**place} for place, parameter in enumerate(held)]
