"""A small VGG-like net for pictures of about 32×32, with or without batch norm."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def vgg(recipe: Recipe) -> nn.Sequential:
    """Three blocks of two 3×3 convolutions (24, 48, 96 filters) and pooling, one hidden dense layer, scores.

    The weights of its own initialization are He's: plain stacks of this depth hardly start from PyTorch's.
    """
    recipe.channels(8)
    stack = Stack(recipe)
    for block, filters in enumerate((24, 48, 96), 1):
        stack.conv(f"{block}_1", recipe.filters(filters), 3, padding=1)
        stack.conv(f"{block}_2", recipe.filters(filters), 3, padding=1)
        stack.pool(str(block), nn.MaxPool2d(2))
    stack.flatten()
    stack.dense("1", recipe.settings.hidden)
    return stack.classifier()
