"""Finds the loss function inside a `functools.partial`, and what that sets."""

from functools import partial
from typing import Any


def taken_apart(loss: Any) -> tuple[Any, dict[str, Any]]:
    """A loss, and the settings that a `functools.partial` around it gives by name (none where there is none)."""
    settings: dict[str, Any] = {}
    while isinstance(loss, partial) and not loss.args:
        settings, loss = {**loss.keywords, **settings}, loss.func
    return loss, settings
