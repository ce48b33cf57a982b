"""Checkpoints as safetensors: tensors beside a JSON description, so that reading one runs no code."""

import json
import random
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


def random_state() -> dict[str, Any]:
    """The state of every generator that a training may draw from: Python, numpy, torch, and CUDA where it is in use."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).astype(np.int64), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put every generator back to where `random_state` found it."""
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


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
    raise TypeError(f"a checkpoint cannot keep {path or 'this'}: {type(value).__name__} is neither a tensor nor plain data")


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
