"""LeNet-300-100 and LeNet-5 (LeCun et al. 1998) in the sizes of Han et al. 2015."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def lenet_300_100(recipe: Recipe) -> nn.Sequential:
    """Dense layers of 300 and 100 units: 266,610 parameters on MNIST."""
    stack = Stack(recipe)
    stack.flatten()
    stack.dense("1", recipe.filters(300))
    stack.dense("2", recipe.filters(100))
    return stack.classifier()


def lenet5(recipe: Recipe) -> nn.Sequential:
    """Convolutions 5×5 of 20 and 50 filters with pooling, 500 dense units: 431,080 parameters on MNIST."""
    recipe.channels(16)
    stack = Stack(recipe)
    for number, filters in enumerate((20, 50), 1):
        stack.conv(str(number), recipe.filters(filters), 5, padding=0)
        stack.pool(str(number), nn.MaxPool2d(2))
    stack.flatten()
    stack.dense("1", recipe.filters(500))
    return stack.classifier()
