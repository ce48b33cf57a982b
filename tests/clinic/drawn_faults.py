"""What goes wrong in the models and losses of drawn trainings, as people write it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# what is done to the features before the head


def detached(features: Tensor) -> Tensor:
    """Cut off from what made them."""
    return features.detach()


def by_numpy(features: Tensor) -> Tensor:
    """There and back again through another library."""
    return torch.as_tensor(features.detach().cpu().numpy().copy())


def rounded(features: Tensor) -> Tensor:
    """A step function, which has no slope."""
    return torch.round(features * 2)


def reshaped(features: Tensor) -> Tensor:
    """The axes were exchanged and then only reshaped."""
    return features.t().reshape(features.shape)


def zeroed(features: Tensor) -> Tensor:
    """A buffer that was never filled."""
    return torch.zeros_like(features)


def drawn_anew(features: Tensor) -> Tensor:
    """The code of a generator, left in place."""
    return torch.randn_like(features)


def logarithms(features: Tensor) -> Tensor:
    """Of numbers that may be zero."""
    return torch.log(F.relu(features))


def own_softmax(features: Tensor) -> Tensor:
    """Without taking the largest off first."""
    powers = torch.exp(features * 200)
    return powers / powers.sum(1, keepdim=True)


def always_dropped(features: Tensor) -> Tensor:
    """Dropout called without telling it whether the model trains."""
    return F.dropout(features, 0.5)


class _Wrong(torch.autograd.Function):
    """The forward of `x * sigmoid(x)`; the backward forgets a factor and a sign."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return features * torch.sigmoid(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        return -gradients[0] * torch.sigmoid(features)


def wrongly_derived(features: Tensor) -> Tensor:
    """An own activation with an own backward."""
    return _Wrong.apply(features)  # type: ignore[no-any-return,no-untyped-call,unused-ignore]


# what follows the head


def log_softmax_of_batch(scores: Tensor) -> Tensor:
    """Along the wrong dimension."""
    return F.log_softmax(scores, dim=0)


# losses


def divided(outputs: Tensor, labels: Tensor, loss: Callable[..., Tensor], by: float) -> Tensor:
    """A mean, divided once more."""
    return loss(outputs, labels) / by


def wrapped_anew(outputs: Tensor, labels: Tensor, loss: Callable[..., Tensor]) -> Tensor:
    """A new tensor of the loss's number."""
    return torch.tensor(loss(outputs, labels).item(), requires_grad=True)


def with_distances(outputs: Tensor, labels: Tensor, loss: Callable[..., Tensor], share: float) -> Tensor:
    """Pushes outputs apart by the root of their squared distances; each one's own distance is zero."""
    distances = torch.sqrt(((outputs.unsqueeze(0) - outputs.unsqueeze(1)) ** 2).sum(2))
    return loss(outputs, labels) - share * distances.mean()


# weights


def constant(model: nn.Module, value: float) -> None:
    """Every weight is the same number."""
    for module in layers(model):
        nn.init.constant_(module.weight, value)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def one_constant(model: nn.Module, value: float) -> None:
    """The weights and biases of one hidden layer are the same number."""
    hidden = layers(model)[:-1]
    nn.init.constant_(hidden[len(hidden) // 2].weight, value)
    if hidden[len(hidden) // 2].bias is not None:
        nn.init.constant_(hidden[len(hidden) // 2].bias, value)


def gaussian(model: nn.Module, std: float) -> None:
    """The same deviation in every layer, whatever its size."""
    for module in layers(model):
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def loud_head(model: nn.Module, std: float) -> None:
    """The last layer starts with large weights."""
    nn.init.normal_(layers(model)[-1].weight, std=std)


def biased_head(model: nn.Module, value: float) -> None:
    """The first output starts far from the others."""
    with torch.no_grad():
        layers(model)[-1].bias[0] = value


def sunken(model: nn.Module, value: float) -> None:
    """Hidden biases far below zero."""
    for module in layers(model)[:-1]:
        if module.bias is not None:
            nn.init.constant_(module.bias, value)


def frozen_middle(model: nn.Module) -> None:
    """Half of the hidden layers, the last of them among these, were frozen and never thawed."""
    hidden = layers(model)[:-1]
    for module in hidden[len(hidden) // 2 :]:
        module.weight.requires_grad_(False)


def frozen_weights(model: nn.Module) -> None:
    """Every weight before the head is frozen; the biases are not."""
    for module in layers(model)[:-1]:
        module.weight.requires_grad_(False)


def in_a_list(model: nn.Module) -> None:
    """The hidden layers stand in a plain list, of which the model knows nothing."""
    name = next(name for name in ("layers", "convs") if hasattr(model, name))
    held = list(getattr(model, name))
    delattr(model, name)
    setattr(model, name, held)


def layers(model: nn.Module) -> list[Any]:
    """Linear and convolutional ones in their order; the head is the last."""
    return [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


# what the optimizer is given


def before_a_new_head(model: nn.Module) -> list[Any]:
    """The head is exchanged after the parameters were handed over."""
    given = list(model.parameters())
    head: Any = model.get_submodule("head")
    model.add_module("head", nn.Linear(head.in_features, head.out_features))
    return given


def head_alone(model: nn.Module) -> list[Any]:
    """Only the last layer's, though all was to learn."""
    return list(model.get_submodule("head").parameters())


def all_but_the_head(model: nn.Module) -> list[Any]:
    """The last layer was forgotten."""
    return [value for name, value in model.named_parameters() if not name.startswith("head.")]


def of_a_copy(model: nn.Module) -> list[Any]:
    """Those of another model."""
    return list(copy.deepcopy(model).parameters())


def without_a_rate(model: nn.Module) -> list[Any]:
    """What comes before the head is in a group of its own, of rate 0."""
    return [{"params": all_but_the_head(model), "lr": 0.0}, {"params": head_alone(model)}]
