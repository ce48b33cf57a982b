"""Nets of dense layers alone, for inputs of any shape."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def two_layer(recipe: Recipe) -> nn.Sequential:
    """One hidden layer; the lecture's net for CIFAR-10."""
    return _dense(recipe, [recipe.settings.hidden])


def ten_layer(recipe: Recipe) -> nn.Sequential:
    """``depth`` hidden layers of ``hidden`` units; the lecture's net for activation statistics."""
    return _dense(recipe, [recipe.settings.hidden] * recipe.settings.depth)


def _dense(recipe: Recipe, widths: list[int]) -> nn.Sequential:
    stack = Stack(recipe)
    stack.flatten()
    for number, width in enumerate(widths, 1):
        stack.dense(str(number), width)
    return stack.classifier()
