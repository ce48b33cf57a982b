"""TorchScript compiles what it finds by name and on the module: while it does, what is ours stands aside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch

NAMES = ("script", "trace", "trace_module")

Aside = Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[None]]
"""Called with what TorchScript was called with; nothing of ours is there inside."""

_asides: list[Aside] = []
_inside: list[bool] = []
"""While TorchScript is at work: what it calls itself finds all of ours gone already."""
_originals: dict[str, Any] = {}


def stand_aside(aside: Aside) -> None:
    """From now on enter `aside` whenever TorchScript is called."""
    if not _asides:
        _originals.update({name: getattr(torch.jit, name) for name in NAMES})
        for name, original in _originals.items():
            setattr(torch.jit, name, _alone(original))
    _asides.append(aside)


def stand_aside_no_more(aside: Aside) -> None:
    """The last one to leave puts torch's own functions back."""
    if aside in _asides:
        _asides.remove(aside)
        if not _asides:
            for name, original in _originals.items():
                setattr(torch.jit, name, original)
            _originals.clear()


def _alone(original: Any) -> Any:
    @functools.wraps(original)
    def alone(*args: Any, **kwargs: Any) -> Any:
        if original.__name__ == "script":  # it looks for names where it is called from
            kwargs["_frames_up"] = kwargs.get("_frames_up", 0) + 1
        with ExitStack() as stack:
            for aside in tuple(_asides) if not _inside else ():
                stack.enter_context(aside(args, kwargs))
            _inside.append(True)
            stack.callback(_inside.pop)
            return original(*args, **kwargs)

    return alone
