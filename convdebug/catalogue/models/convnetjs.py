"""The net of Karpathy's ConvNetJS CIFAR-10 demo."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def convnetjs(recipe: Recipe) -> nn.Sequential:
    """Three times convolution 5×5 (16, 20, 20 filters) and pooling, then one score a class."""
    recipe.channels(8)
    stack = Stack(recipe)
    for number, filters in enumerate((16, 20, 20), 1):
        stack.conv(str(number), recipe.filters(filters), 5, padding=2)
        stack.pool(str(number), nn.MaxPool2d(2))
    stack.flatten()
    return stack.classifier()
