"""Optimizers of torch.optim, built from the settings that their catalogue entry names."""

from collections.abc import Iterable

from torch import optim
from torch.nn import Parameter

from convdebug.settings import OptimizerConfig

Parameters = Iterable[Parameter]


def sgd(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return optim.SGD(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def momentum(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


def nesterov(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    """Torch's form; at momentum 0 there is nothing to look ahead with and it is plain descent."""
    return optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def adagrad(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return optim.Adagrad(parameters, lr=settings.lr, weight_decay=settings.weight_decay, eps=settings.eps)


def adadelta(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return optim.Adadelta(
        parameters, lr=settings.lr, rho=settings.decay, eps=settings.eps, weight_decay=settings.weight_decay
    )


def rmsprop(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return optim.RMSprop(
        parameters,
        lr=settings.lr,
        alpha=settings.decay,
        eps=settings.eps,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def adam(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return _adam(optim.Adam, parameters, settings)


def adamw(parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    return _adam(optim.AdamW, parameters, settings)


def _adam(kind: type[optim.Adam], parameters: Parameters, settings: OptimizerConfig) -> optim.Optimizer:
    betas = (settings.beta1, settings.beta2)
    return kind(parameters, lr=settings.lr, betas=betas, eps=settings.eps, weight_decay=settings.weight_decay)
