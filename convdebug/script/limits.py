"""How long a script may train, how it is watched, and what ends it there."""

from __future__ import annotations

from dataclasses import dataclass


class ScriptStopped(BaseException):
    """Ends a script from within an optimizer's step; no `except Exception` of the script swallows it."""


@dataclass(frozen=True)
class Limits:
    """How long the script may train, and how it is watched."""

    steps: int | None = None
    checkpoints: int = 0
    overhead_budget: float = 0.02
    every: int | None = None
