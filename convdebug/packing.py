"""Any nest of plain data and tensors as a safetensors file and back, so that reading a checkpoint runs no code."""

import json
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save


def pack(state: Any) -> bytes:
    """Any nest of dicts, lists, tuples, numbers, texts and tensors as the bytes of a safetensors file."""
    tensors: dict[str, torch.Tensor] = {}
    tree = _describe(state, "", tensors)
    return save(tensors, metadata={"tree": json.dumps(tree)})


def unpack(data: bytes) -> Any:
    """The nest that `pack` was given; tensors come back on the CPU."""
    header_length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_length])
    return _restore(json.loads(header["__metadata__"]["tree"]), load(data))


def _describe(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return {"tensor": _keep(value.detach().to("cpu", copy=True).contiguous(), path, tensors)}
    if isinstance(value, np.ndarray):
        return {"array": _keep(torch.from_numpy(value.copy()), path, tensors)}
    if isinstance(value, dict):
        pairs = [[_describe(key, "", {}), _describe(item, f"{path}/{key}", tensors)] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        items = [_describe(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, np.generic):
        return {"value": value.item()}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(
        f"a checkpoint cannot keep {path or 'this'}: {type(value).__name__} is neither a tensor nor plain data"
    )


def _keep(tensor: torch.Tensor, path: str, tensors: dict[str, torch.Tensor]) -> str:
    name = f"{len(tensors)}{path}"
    tensors[name] = tensor
    return name


def _restore(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "dict":
        return {_restore(key, tensors): _restore(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_restore(item, tensors) for item in content]
        return tuple(items) if kind == "tuple" else items
    return content
