"""ResNet-20 for pictures of 32×32 (He et al. 2015), with shortcuts of option A: no parameters in them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from convdebug.catalogue.models.parts import Recipe


class Shortcut(nn.Module):
    """Every second pixel, and zeros for the channels that are new."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, inputs: Tensor) -> Tensor:
        before = self.extra // 2
        return functional.pad(inputs[:, :, ::2, ::2], (0, 0, 0, 0, before, self.extra - before))


class Block(nn.Module):
    """Two 3×3 convolutions around which the input is carried."""

    def __init__(self, recipe: Recipe, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, recipe.units(filters), 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(recipe.units(filters))
        self.activation1 = recipe.activation()
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = Shortcut(filters - channels) if stride == 2 else nn.Identity()
        self.expand = nn.Conv2d(filters, 2 * filters, 1) if recipe.units(1) == 2 else nn.Identity()
        self.activation2 = recipe.activation()

    def forward(self, inputs: Tensor) -> Tensor:
        inner = self.activation1(self.bn1(self.conv1(inputs)))
        outer = self.bn2(self.conv2(inner)) + self.shortcut(inputs)
        return self.activation2(self.expand(outer))


def _stage(recipe: Recipe, channels: int, filters: int, stride: int) -> nn.Sequential:
    first = Block(recipe, channels, filters, stride)
    return nn.Sequential(first, *[Block(recipe, filters, filters, 1) for _ in range(2)])


class ResNet20(nn.Module):
    """Three stages of three blocks with 16, 32, 64 filters; 269,722 parameters for ten classes of RGB pictures."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        channels = recipe.filters(16)
        self.conv1 = nn.Conv2d(recipe.channels(8), recipe.units(channels), 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(recipe.units(channels))
        self.activation1 = recipe.activation()
        self.layer1 = _stage(recipe, channels, recipe.filters(16), 1)
        self.layer2 = _stage(recipe, recipe.filters(16), recipe.filters(32), 2)
        self.layer3 = _stage(recipe, recipe.filters(32), recipe.filters(64), 2)
        self.dropout = nn.Dropout(recipe.dropout) if recipe.dropout else nn.Identity()
        self.linear = nn.Linear(recipe.filters(64), recipe.classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.activation1(self.bn1(self.conv1(inputs)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.linear(self.dropout(torch.mean(features, dim=(2, 3))))


def resnet20(recipe: Recipe) -> nn.Module:
    """He's weights for the convolutions; parameter names fit the published CIFAR-10 weights of akamaster."""
    return ResNet20(recipe)
