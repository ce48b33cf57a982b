"""Turning the regularization of a user's own target off, and saying what could not be turned off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from convdebug.batches import call_model, seeded, split_batch, to_device

if TYPE_CHECKING:
    from convdebug.target import Target


def off(target: Target) -> Target:
    """The target without penalty, dropout modules and weight decay at 0; ``kept`` names the randomness that stays."""
    plain = replace(
        target,
        make_model=_without_dropout(target.make_model),
        make_optimizer=_without_decay(target.make_optimizer),
        penalty=None,
    )
    return replace(plain, kept=tuple(_what_stays(plain)))


def _without_dropout(make_model: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = make_model()
        for module in model.modules():
            if isinstance(module, _DropoutNd):
                module.p = 0.0
            elif isinstance(module, nn.MultiheadAttention | nn.RNNBase):
                module.dropout = 0.0
        return model

    return make


def _without_decay(make_optimizer: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    def make(parameters: Any) -> Optimizer:
        optimizer = make_optimizer(parameters)
        for group in optimizer.param_groups:
            group.update({"weight_decay": 0.0} if "weight_decay" in group else {})
        return optimizer

    return make


def _what_stays(target: Target) -> list[str]:
    stays = []
    first, again = (_sample(target, seed) for seed in (1, 2))
    if not _same(first, again):
        stays.append("random changes inside the data set (the same example comes out differently each time)")
    if target.train_step is None and _random_model(target, first):
        stays.append("randomness inside the model's forward (the same batch gives different outputs in training mode)")
    if target.train_step is not None:
        stays.append("whatever train_step adds to the loss")
    return stays


def _sample(target: Target, seed: int) -> Any:
    with seeded(seed):
        return target.training_data_sample(2)


def _random_model(target: Target, batch: Any) -> bool:
    model = target.build().train()
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    inputs = to_device(split_batch(batch)[0], device)
    outputs = []
    for seed in (1, 2):
        with seeded(seed), torch.no_grad():
            outputs.append(call_model(model, inputs))
    return not _same(*outputs)


def _same(one: Any, other: Any) -> bool:
    """Whether two nests of tensors hold the same numbers."""
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return all(map(_same, one, other))
    return True
