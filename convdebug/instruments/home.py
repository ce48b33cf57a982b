"""The one thread whose training is heard: torch calls its hooks in whatever thread the user's code runs."""

from __future__ import annotations

import threading

_home: list[int] = []
_watches = [0]
_lock = threading.Lock()


def claim() -> bool:
    """Whether this thread is the one that is heard from now on: the first one that asks is, until it has ended."""
    if _home and not is_elsewhere():
        return True
    with _lock:
        if not _home or all(thread.ident != _home[0] for thread in threading.enumerate()):
            _home[:] = [threading.get_ident()]
    return not is_elsewhere()


def settle() -> bool:
    """A watch begins; False where training in another thread is being heard already, so that it will hear nothing."""
    _watches[0] += 1
    return claim()


def leave() -> None:
    """A watch is over; after the last one any thread may be heard."""
    _watches[0] -= 1
    if _watches[0] <= 0:
        _watches[0] = 0
        _home.clear()


def is_elsewhere() -> bool:
    """Whether this thread is not the one that is heard.

    To look at what is trained in another thread is not safe: its gradients come and go without Python's lock.
    """
    return bool(_home) and _home[0] != threading.get_ident()
