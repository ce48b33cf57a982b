"""Finds functions that a module took from torch by name (`from torch.nn.functional import cross_entropy`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

Taken = tuple[ModuleType, str, Any, Any]
"""A module, the name in it, what stood there, and what stands there now."""


def replace_taken(functions: Iterable[tuple[Callable[..., Any], Callable[..., Any]]]) -> list[Taken]:
    """Let the second of each two functions stand wherever a module outside torch has the first one as a global name.

    Walks through all modules: some milliseconds.
    """
    wanted = {id(before): (before, after) for before, after in functions}
    return [
        _replaced(module, name, *wanted[id(value)])
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and not _is_torch(module)
        for name, value in list(module.__dict__.items())
        if id(value) in wanted
    ]


def _is_torch(module: ModuleType) -> bool:
    return str(module.__dict__.get("__name__")).partition(".")[0] in ("torch", "convdebug")


def _replaced(module: ModuleType, name: str, before: Any, after: Any) -> Taken:
    module.__dict__[name] = after
    return module, name, before, after


def put_back(taken: list[Taken]) -> None:
    """What stood there before stands there again, unless the module has put something else there since."""
    for module, name, before, after in taken:
        if module.__dict__.get(name) is after:
            module.__dict__[name] = before
    taken.clear()
