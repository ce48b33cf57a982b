"""What a model is made of: its layers in forward order, its parameters, the activation each layer applies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SILENT_KINDS = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.padding._ConstantPadNd,
    nn.modules.padding._ReflectionPadNd,
    nn.modules.padding._ReplicationPadNd,
    nn.Upsample,
    nn.PixelShuffle,
    nn.modules.loss._Loss,
)
"""Leaves that only move, drop or pool values: their output says nothing their input did not."""

CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
)
FEATURES_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)

ACTIVATIONS: dict[type, str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.RReLU: "rrelu",
    nn.ELU: "elu",
    nn.CELU: "celu",
    nn.SELU: "selu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Softplus: "softplus",
    nn.Softsign: "softsign",
    nn.Hardtanh: "hardtanh",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Threshold: "threshold",
    nn.LogSigmoid: "logsigmoid",
}

FUNCTIONS: dict[Any, str] = {
    function: name
    for name, functions in {
        "relu": (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        "relu6": (F.relu6,),
        "tanh": (torch.tanh, torch.tanh_, Tensor.tanh, Tensor.tanh_),
        "sigmoid": (torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_),
        "leaky_relu": (F.leaky_relu,),
        "elu": (F.elu,),
        "celu": (F.celu,),
        "selu": (F.selu,),
        "gelu": (F.gelu,),
        "silu": (F.silu,),
        "mish": (F.mish,),
        "softplus": (F.softplus,),
        "softsign": (F.softsign,),
        "hardtanh": (F.hardtanh,),
        "hardswish": (F.hardswish,),
        "hardsigmoid": (F.hardsigmoid,),
    }.items()
    for function in functions
}
"""What a functional activation is called, by the function that torch dispatches."""

SATURATION: dict[str, tuple[float, float]] = {"tanh": (-0.97, 0.97), "sigmoid": (0.03, 0.97)}
"""Outputs beyond these bounds count as saturated (makemore's share of |tanh| > 0.97, and its like for sigmoid)."""

RECTIFIERS = frozenset({"relu", "relu6"})
"""Activations whose units can die: exactly zero on every sample."""


@dataclass(frozen=True)
class Layer:
    """A place in the network whose output is measured; `units` lie along `axis` of its output."""

    name: str
    kind: str
    activation: str | None
    units: int
    axis: int
    parameters: tuple[str, ...] = ()

    def as_info(self) -> dict[str, Any]:
        """The layer as `run.info["layers"]` holds it."""
        info = asdict(self) | {"parameters": list(self.parameters)}
        del info["axis"]
        return info


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside `torch.compile`, `DataParallel` and `DistributedDataParallel`."""
    while True:
        inner = model.__dict__.get("_modules", {}).get("_orig_mod")
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def is_compiled(model: nn.Module) -> bool:
    """Whether any part of the model runs as compiled code, where hooks attached later are never called."""
    return any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def measured_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The leaves, and what owns parameters itself, without the leaves that only move values."""
    for name, module in model.named_modules():
        is_leaf = next(module.children(), None) is None
        owns = next(iter(module.parameters(recurse=False)), None) is not None
        if (is_leaf or owns) and not isinstance(module, SILENT_KINDS):
            yield name or type(module).__name__.lower(), module


def activation_of(module: nn.Module) -> str | None:
    """The activation a module applies, by its name in this program; None for any other module."""
    return next((name for kind, name in ACTIVATIONS.items() if isinstance(module, kind)), None)


def unit_axis(module: nn.Module | None, shape: Sequence[int], previous: Layer | None) -> int:
    """Where the units of an output of `shape` lie: channels of a convolution, features of a linear layer."""
    if len(shape) < 2:
        return 0
    if isinstance(module, CHANNELS_FIRST):
        return 1
    if isinstance(module, FEATURES_LAST):
        return len(shape) - 1
    if previous is not None and previous.axis < len(shape) and shape[previous.axis] == previous.units:
        return previous.axis
    return len(shape) - 1 if len(shape) == 3 else 1


def layer_of(name: str, module: nn.Module, shape: Sequence[int], previous: Layer | None) -> Layer:
    """The layer that a module's output of `shape` makes."""
    axis = unit_axis(module, shape, previous)
    prefix = name + "." if name else ""
    parameters = tuple(prefix + own for own, _ in module.named_parameters(recurse=False))
    units = int(shape[axis]) if len(shape) else 1
    return Layer(name, type(module).__name__, activation_of(module), units, axis, parameters)


def parameter_infos(model: nn.Module, held: set[int]) -> list[dict[str, Any]]:
    """`run.info["parameters"]`: each parameter with its shape, layer, and whether an optimizer holds it."""
    return [
        {
            "name": name,
            "shape": list(parameter.shape) if size_of(parameter) else [],
            "size": size_of(parameter),
            "layer": name.rpartition(".")[0],
            "trainable": parameter.requires_grad,
            "in_optimizer": id(parameter) in held,
        }
        for name, parameter in model.named_parameters()
    ]


def own_weight(module: nn.Module) -> Tensor | None:
    """The weight that lies in a module itself; None while it is lazy, and where it is computed whenever it is read.

    Read without calling anything: `module.weight` of a parametrized layer runs the parametrization, which may move
    (the power iteration of a spectral norm) or draw random numbers.
    """
    weight = module._parameters.get("weight")
    if weight is None:
        weight = module.__dict__.get("weight")
    return weight if isinstance(weight, Tensor) and not isinstance(weight, nn.UninitializedParameter) else None


def size_of(parameter: nn.Parameter) -> int:
    """How many numbers a parameter holds; none while it is lazy."""
    return 0 if isinstance(parameter, nn.parameter.UninitializedParameter) else parameter.numel()


def first_tensor(output: Any) -> Tensor | None:
    """The first floating tensor in a tensor, dict, tuple, list or dataclass of outputs; None if there is none."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    parts: Any = output
    if isinstance(output, dict):
        parts = output.values()
    elif hasattr(output, "__dataclass_fields__"):
        parts = [getattr(output, name) for name in output.__dataclass_fields__]
    elif not isinstance(output, (list, tuple)):
        return None
    for part in parts:  # no generator: this is asked several times in every step
        found = first_tensor(part)
        if found is not None:
            return found
    return None
