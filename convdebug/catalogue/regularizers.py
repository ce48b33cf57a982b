"""What is added to the loss, or put between the layers, against overfitting."""

import torch
from torch import Tensor, nn


def weights(model: nn.Module) -> list[nn.Parameter]:
    """The trainable weights that a penalty counts: matrices and filters, no biases and no scales."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.dim() > 1]


def l2(model: nn.Module, strength: float) -> Tensor:
    """½ · strength · ‖W‖² over all weights, as in the lecture."""
    total = torch.stack([weight.square().sum() for weight in weights(model)]).sum()
    return 0.5 * strength * total


def dropout(share: float) -> nn.Module:
    """Units set to zero with probability ``share`` while training, the others scaled by 1/(1 − share)."""
    return nn.Dropout(share)
