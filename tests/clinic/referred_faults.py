"""Networks, weights and choices of parameters of the referred with one fault each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import SIDE, Data
from .referred_models import Dense, LeNet, Normed, ResNet, ViT


class NoGradFeatures(nn.Module):
    """Features are computed under `no_grad`, copied from a script that only extracted them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.model.features(pictures)
        return self.model.head(features)


class DataBetweenBlocks(ResNet):
    """`.data` is handed on between the blocks."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.bn(self.stem(pictures)))
        hidden = self.layer2(self.layer1(hidden))
        return F.adaptive_avg_pool2d(self.layer3(hidden.data), 2).flatten(1)


class ThroughNumpy(Dense):
    """The hidden layer takes a turn through numpy for a function that torch has not."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.fc1(pictures.flatten(1)))
        sorted_units = torch.from_numpy(hidden.detach().numpy().copy())
        return F.relu(self.fc2(sorted_units))


class HardThreshold(LeNet):
    """Units are on or off by a comparison."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d((self.conv1(pictures) > 0).float(), 2)
        return F.max_pool2d(F.relu(self.conv2(hidden)), 2)


class PythonList(LeNet):
    """The convolutions stand in a list, which no module looks into."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.convs = [self.conv1, self.conv2]
        del self.conv1, self.conv2

    def features(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv in self.convs:
            hidden = F.max_pool2d(F.relu(conv(hidden)), 2)
        return hidden


class ListOfBlocks(ResNet):
    """The blocks stand in a list, which no module looks into."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.blocks = [self.layer1, self.layer2, self.layer3]
        del self.layer1, self.layer2, self.layer3

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.bn(self.stem(pictures)))
        for block in self.blocks:
            hidden = block(hidden)
        return F.adaptive_avg_pool2d(hidden, 2).flatten(1)


class Last(nn.Module):
    """A functional line at the end of `forward` that the loss has already."""

    def __init__(self, model: nn.Module, last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.last = model, last

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(self.model(pictures))


class AlwaysDropping(Dense):
    """Functional dropout that is not told of the mode."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.dropout(F.relu(self.fc1(pictures.flatten(1))), 0.7)
        return F.dropout(F.relu(self.fc2(hidden)), 0.7)


class AlwaysDroppingConv(LeNet):
    """The same between the convolutions and the matrices."""

    def features(self, pictures: Tensor) -> Tensor:
        return F.dropout(super().features(pictures), 0.7)


class NormedDense(Dense):
    """Matrices with batch norm, whose statistics are over the examples alone."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.bn1, self.bn2 = nn.BatchNorm1d(64), nn.BatchNorm1d(64)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.fc1(pictures.flatten(1))))
        return F.relu(self.bn2(self.fc2(hidden)))


class NormedEnd(Normed):
    """Convolutions with batch norm, and one more over the features of the whole picture."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.bn = nn.BatchNorm1d(128)

    def features(self, pictures: Tensor) -> Tensor:
        return self.bn(super().features(pictures))


class KeepsATwentieth(Dense):
    """0.95 was meant as what is kept, as another library counts."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.drop = nn.Dropout(0.95)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = self.drop(F.relu(self.fc1(pictures.flatten(1))))
        return self.drop(F.relu(self.fc2(hidden)))


class BatchNotFirst(nn.Module):
    """Encoder layers that take the length first are given the batch first: examples attend to each other."""

    def __init__(self, data: Data, width: int = 32) -> None:
        super().__init__()
        self.rows = nn.Linear(data.channels * SIDE, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, SIDE, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, 0.0, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        rows = pictures.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.encoder(self.rows(rows) + self.place)[:, 0])


class WrongView(LeNet):
    """Channels come first after a transpose, and `view` is trusted to put that right."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = super().features(pictures)
        return hidden.transpose(0, 1).reshape(len(pictures), -1)


class WrongViewOfPictures(Dense):
    """Planes are stacked plane after plane, then cut into examples."""

    def features(self, pictures: Tensor) -> Tensor:
        return super().features(pictures.permute(1, 0, 2, 3).reshape(len(pictures), -1))


class NormalizedOverTheBatch(ResNet):
    """`normalize` and a softmax over dimension 0, where dimension 1 was meant."""

    def features(self, pictures: Tensor) -> Tensor:
        features = super().features(pictures)
        return 8 * torch.softmax(8 * F.normalize(features, dim=0), dim=0)


class PlaceOnly(ViT):
    """The places take the tokens' place where they should have been added."""

    def tokens(self, pictures: Tensor) -> Tensor:
        tokens = super().tokens(pictures)
        return torch.zeros_like(tokens) + self.place


class MaskedAway(LeNet):
    """The mask is one where the picture is not."""

    def features(self, pictures: Tensor) -> Tensor:
        mask = (pictures == 0).float()
        return super().features(pictures * mask)


class NormOfOne(nn.Module):
    """A layer norm over the single score that is left."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.norm = model, nn.LayerNorm(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.norm(self.model(pictures))


class NoToken(ViT):
    """Dark patches are masked; a picture of dark patches alone leaves nothing to attend to."""

    def features(self, pictures: Tensor) -> Tensor:
        tokens = self.tokens(pictures)[:, 1:]
        bright = F.avg_pool2d(pictures.mean(1, keepdim=True), 2).flatten(1) > 0.5
        for layer in self.layers:
            tokens = layer(tokens, bright)
        return self.norm(tokens).mean(1)


class NormByHand(nn.Module):
    """A layer norm written out without its epsilon."""

    def forward(self, tokens: Tensor) -> Tensor:
        centred = tokens - tokens.mean(-1, keepdim=True)
        return centred / centred.pow(2).mean(-1, keepdim=True).sqrt()


class PaddedTokens(ViT):
    """Patches past the border are tokens of zeros, and the first norm is written by hand."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.layers[0].norm1 = NormByHand()

    def tokens(self, pictures: Tensor) -> Tensor:
        return F.pad(super().tokens(pictures), (0, 0, 0, 3))


class Bilinear(Normed):
    """Products of all channels under a signed square root, whose slope at nothing is not a number."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.fc = nn.Linear(32 * 32, data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = F.max_pool2d(F.relu(norm(conv(hidden))), 2)
        channels = hidden.flatten(2)
        products = (channels @ channels.transpose(1, 2)).flatten(1)
        return F.normalize(products.sign() * products.abs().sqrt())


class OneOverSpread(LeNet):
    """Every channel is divided by its spread over the picture, which is zero for a silent one."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(F.relu(self.conv1(pictures) - 1), 2)
        hidden = (hidden - hidden.mean((2, 3), keepdim=True)) / hidden.std((2, 3), keepdim=True)
        return F.max_pool2d(F.relu(self.conv2(hidden)), 2)


class SoftmaxByHand(Dense):
    """Exponentials divided by their sum; the pictures come as large numbers, so that they overflow."""

    def forward(self, pictures: Tensor) -> Tensor:
        powers = torch.exp(super().forward(pictures))
        return torch.log(powers / powers.sum(1, keepdim=True))


class SquaresInHalf(Dense):
    """Energies, squares of sums, under a half-precision autocast."""

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.float16):
            hidden = self.fc1(pictures.flatten(1) * 40)
            energy = self.fc2(hidden * hidden)
            return self.fc3(energy / 1000).float()


class RandnLayers(nn.Module):
    """Matrices straight from `randn`, as in lessons that build a network from nothing."""

    def __init__(self, data: Data, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        sizes = (data.inputs[0].numel(), 64, 64, 64, 64, data.outputs)
        self.weights = nn.ParameterList(torch.randn(a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(b) for b in sizes[1:])
        self.activation = activation

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = pictures.flatten(1)
        for weight, bias in list(zip(self.weights, self.biases, strict=True))[:-1]:
            hidden = self.activation(hidden @ weight + bias)
        return hidden @ self.weights[-1] + self.biases[-1]


class ZeroLayers(RandnLayers):
    """Matrices of zeros, as a lesson on logistic regression has them."""

    def __init__(self, data: Data, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__(data, activation)
        for weight in self.weights:
            nn.init.zeros_(weight)


class WithoutNorms(nn.Module):
    """Twenty-four blocks added up, each as large as what it is added to."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 12, 3, 2, 1)
        self.blocks = nn.ModuleList(nn.Conv2d(12, 12, 3, padding=1) for _ in range(24))
        for block in self.blocks:
            nn.init.kaiming_normal_(block.weight, nonlinearity="relu")
        self.fc = nn.Linear(12 * 16, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.stem(pictures)
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden))
        return self.fc(hidden.flatten(1))


class SameLayerAgain(nn.Module):
    """One matrix applied twenty-five times, its gain above one."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.enter = nn.Linear(data.inputs[0].numel(), 48)
        self.again = nn.Linear(48, 48)
        nn.init.normal_(self.again.weight, std=0.35)
        self.leave = nn.Linear(48, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.enter(pictures.flatten(1))
        for _ in range(25):
            hidden = F.relu(self.again(hidden))
        return self.leave(hidden)


def deep_convolutions(data: Data, activation: Callable[[], nn.Module], depth: int = 9) -> nn.Sequential:
    """Convolutions one after the other and nothing between them but an activation."""
    layers: list[nn.Module] = []
    for layer in range(depth):
        layers += [nn.Conv2d(data.channels if layer == 0 else 12, 12, 3, padding=1), activation()]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12 * 16, data.outputs))


def truncated_normal(model: nn.Module) -> None:
    """A deviation of 0.01 everywhere, from a recipe of 2012."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def no_activations(data: Data) -> nn.Sequential:
    """Matrix after matrix: a linear map."""
    size = data.inputs[0].numel()
    return nn.Sequential(
        nn.Flatten(), nn.Linear(size, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, data.outputs)
    )


def all_a_fiftieth(model: nn.Module) -> None:
    """Every parameter, of the attention too, is filled with one number."""
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.02)


def one_filter_repeated(model: nn.Module) -> None:
    """Filters are copies of the first, as when weights of one are expanded to many."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = module.weight.data[:1].repeat(len(module.weight), *[1] * (module.weight.dim() - 1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def last_hidden_silent(model: nn.Module) -> None:
    """The biases of the last hidden layer are twenty below zero."""
    hidden = [module for module in model.modules() if isinstance(module, nn.Linear)][-2]
    nn.init.constant_(hidden.bias, -20.0)


def of_another_model(build: Callable[[Data], nn.Module], data: Callable[[], Data]) -> Callable[[Any], list[Any]]:
    """The model was built again after the optimizer had been given the first one's parameters."""
    return lambda _model: list(build(data()).parameters())


def copied_afterwards(model: Any) -> list[Any]:
    """The model that trains is a deep copy of the one whose parameters are here."""
    return [copy.deepcopy(parameter) for parameter in model.parameters()]


def matrices_only(model: Any) -> list[Any]:
    """Chosen by their number of dimensions; convolutions have four."""
    return [parameter for parameter in model.parameters() if parameter.dim() <= 2]


def head_a_thousandfold(model: Any) -> list[Any]:
    """The group of the head was meant to have ten times the rate."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    head = {id(parameter) for parameter in layers[-1].parameters()}
    body = [parameter for parameter in model.parameters() if id(parameter) not in head]
    return [{"params": body}, {"params": list(layers[-1].parameters()), "lr": 50.0}]


def the_head(model: Any) -> list[Any]:
    """What the first of two optimizers was given."""
    return list([module for module in model.modules() if isinstance(module, nn.Linear)][-1].parameters())
