"""Copies of a module, files of it and what TorchScript makes of it know nothing of what we hung on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .hook import Hook
from .scripting import stand_aside, stand_aside_no_more

HOOKS = ("_forward_pre_hooks", "_forward_hooks")
FLAGS = ("_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")
"""Which of the hooks want more, under the same keys."""

_users: list[object] = []


def leave_modules_clean(user: object) -> None:
    """From now on a module is copied and written without our hooks, and compiled without them."""
    if not _users:
        nn.Module.__getstate__ = _state_without_ours  # type: ignore[method-assign]
        stand_aside(_hooks_aside)
    _users.append(user)


def leave_modules_as_they_are(user: object) -> None:
    """Undo `leave_modules_clean`; the last user puts torch's own ways back."""
    if user in _users:
        _users.remove(user)
        if not _users:
            del nn.Module.__getstate__
            stand_aside_no_more(_hooks_aside)


def _state_without_ours(module: nn.Module) -> Any:
    """What Python would take for the state of the module, but for our hooks."""
    state: Any = object.__getstate__(module)
    if not isinstance(state, dict):
        return state
    ours = {key for name in HOOKS for key, hook in (state.get(name) or {}).items() if type(hook) is Hook}
    if not ours:
        return state
    state = dict(state)
    for name in (*HOOKS, *FLAGS):
        if state.get(name):
            state[name] = type(state[name])((key, value) for key, value in state[name].items() if key not in ours)
    return state


@contextmanager
def _hooks_aside(args: tuple[Any, ...], keywords: dict[str, Any]) -> Iterator[None]:
    owners = [getattr(each, "__self__", each) for each in (*args, *keywords.values())]  # a method is traced for it
    given = [each for each in owners if isinstance(each, nn.Module)]
    taken = [_take_ours(hooks) for module in given for each in module.modules() for hooks in _dicts_of(each)]
    try:
        yield
    finally:
        for hooks, before in reversed(taken):
            fresh = {key: hook for key, hook in hooks.items() if key not in before}
            hooks.clear()
            hooks.update(before | fresh)


def _dicts_of(module: nn.Module) -> list[dict[int, Any]]:
    found = [module.__dict__.get(name) for name in HOOKS]  # a scripted module has none to speak of
    return [hooks for hooks in found if hooks and any(type(hook) is Hook for hook in hooks.values())]


def _take_ours(hooks: dict[int, Any]) -> tuple[dict[int, Any], dict[int, Any]]:
    """Leave the user's own; gives what was there before."""
    before = dict(hooks)
    for key, hook in before.items():
        if type(hook) is Hook:
            del hooks[key]
    return hooks, before
