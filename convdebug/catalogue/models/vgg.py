"""A small VGG-like net for pictures of about 32×32, with or without batch norm."""

from torch import nn

from convdebug.catalogue.models.parts import Recipe, Stack


def vgg(recipe: Recipe) -> nn.Sequential:
    """Three blocks of two 3×3 convolutions (24, 48, 96 filters) and pooling, one hidden dense layer, scores.

    It starts from He's weights: without batch norm a stack of this depth hardly leaves 2.30 from PyTorch's
    (the scores keep PyTorch's, so that the first loss is what chance gives).
    """
    recipe.channels(8)
    stack = Stack(recipe)
    for block, filters in enumerate((24, 48, 96), 1):
        stack.conv(f"{block}_1", recipe.filters(filters), 3, padding=1)
        stack.conv(f"{block}_2", recipe.filters(filters), 3, padding=1)
        stack.pool(str(block), nn.MaxPool2d(2))
    stack.flatten()
    stack.dense("1", recipe.settings.hidden)
    net = stack.classifier()
    for name, layer in net.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear) and name != "output":
            nn.init.kaiming_normal_(layer.weight)
    return net
