"""Whether the user's code runs inside `torch.vmap`, where a tensor stands for many and has no number of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_functorch = getattr(torch._C, "_functorch", None)


def _nothing() -> None:
    return None


transform: Callable[[], Any] = getattr(_functorch, "peek_interpreter_stack", _nothing)
"""The innermost transform of `torch.func` that is at work, or None; 40 ns, so asked before `is_mapped`."""
_all_transforms: Callable[[], Any] = getattr(_functorch, "get_interpreter_stack", _nothing)


def is_mapped() -> bool:
    """Whether one of the transforms at work is `vmap`."""
    return transform() is not None and any(each.key().name == "Vmap" for each in _all_transforms() or ())
