"""Activation functions; each function builds a module that leaves its input as it is."""

import torch
from torch import Tensor, nn


class Maxout(nn.Module):
    """The larger of each two neighbouring units: (N, 2C, …) to (N, C, …) (Goodfellow et al. 2013)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.amax(inputs.unflatten(1, (-1, 2)), dim=2)


def sigmoid() -> nn.Module:
    return nn.Sigmoid()


def tanh() -> nn.Module:
    return nn.Tanh()


def relu() -> nn.Module:
    return nn.ReLU()


def leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.01)


def prelu() -> nn.Module:
    return nn.PReLU()


def elu() -> nn.Module:
    return nn.ELU()


def maxout() -> nn.Module:
    return Maxout()


def gelu() -> nn.Module:
    return nn.GELU()


def silu() -> nn.Module:
    return nn.SiLU()
