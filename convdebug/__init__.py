"""A debugger for the training of neural networks. Importing this loads neither torch nor Qt."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convdebug.errors import TargetError, UserError
    from convdebug.target import Target
    from convdebug.watch import TrainingStopped, Watch, watch
    from convdebug_sessions import Session, SessionError

__version__ = "0.1.0"

__all__ = ["Session", "SessionError", "Target", "TargetError", "TrainingStopped", "UserError", "Watch", "watch"]

_HOMES = {
    "Session": "convdebug_sessions",
    "SessionError": "convdebug_sessions",
    "Target": "convdebug.target",
    "TargetError": "convdebug.errors",
    "TrainingStopped": "convdebug.watch",
    "UserError": "convdebug.errors",
    "Watch": "convdebug.watch",
    "watch": "convdebug.watch",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for on its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'convdebug' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
