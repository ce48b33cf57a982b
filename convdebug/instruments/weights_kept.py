"""Keeps the weights of a watched model in the session, as safetensors."""

from __future__ import annotations

import torch
from safetensors.torch import save
from torch import Tensor

from .instrument import Scene


def keep_weights(scene: Scene, step: int) -> None:
    """A blob `checkpoint` with the model's state after `step`; what shares memory is kept once."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[int, torch.Size], str] = {}
    for name, tensor in scene.inner.state_dict().items():
        key = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and key in seen:
            aliases[name] = seen[key]
            continue
        seen[key] = name
        tensors[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
    scene.run.blob("checkpoint", step, save(tensors, aliases), name="step", kept=True)
    scene.run.event("checkpoint", step)
