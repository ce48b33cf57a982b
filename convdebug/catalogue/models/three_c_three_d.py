"""The 3c3d net of the DeepOBS benchmark (Schneider et al. 2019)."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def three_c_three_d(recipe: Recipe) -> nn.Sequential:
    """Convolutions of 64, 96, 128 filters with pooling 3×3 by 2, dense layers of 512 and 256, scores."""
    recipe.channels(14)
    stack = Stack(recipe)
    for number, (filters, size, padding) in enumerate(((64, 5, 0), (96, 3, 0), (128, 3, 1)), 1):
        stack.conv(str(number), recipe.filters(filters), size, padding)
        stack.pool(str(number), nn.MaxPool2d(3, 2, padding=1))
    stack.flatten()
    stack.dense("1", recipe.filters(512))
    stack.dense("2", recipe.filters(256))
    return stack.classifier()
