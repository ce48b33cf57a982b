"""Keeps what goes wrong while we listen away from the user's training."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar


class Listening(Protocol):
    """Who listens: once `broken` it hears no more."""

    broken: bool

    def failed(self, problem: Exception) -> None:
        """Record what went wrong."""


Heard = TypeVar("Heard", bound=Callable[..., None])


def harmless(hear: Heard) -> Heard:
    """What goes wrong while hearing is recorded once, ends the hearing, and never reaches the user's training."""

    @wraps(hear)
    def guarded(self: Listening, *about: Any) -> None:
        if self.broken:
            return
        try:
            hear(self, *about)
        except Exception as problem:
            self.broken = True
            self.failed(problem)

    return guarded  # type: ignore[return-value]
