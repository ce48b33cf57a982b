"""The one thread whose training is heard: torch calls its hooks in whatever thread the user's code runs."""

from __future__ import annotations

import threading
from threading import get_ident

heard_in: list[int] = []
"""Which thread that is, if any is heard."""
_watches = [0]
_lock = threading.Lock()


def claim() -> bool:
    """Whether this thread is the one that is heard from now on: the first one that asks is, until it has ended."""
    if heard_in and heard_in[0] == get_ident():
        return True
    with _lock:
        if not heard_in or all(thread.ident != heard_in[0] for thread in threading.enumerate()):
            heard_in[:] = [get_ident()]
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
        heard_in.clear()


def is_elsewhere() -> bool:
    """Whether this thread is not the one that is heard.

    To look at what is trained in another thread is not safe: its gradients come and go without Python's lock.
    """
    return bool(heard_in) and heard_in[0] != get_ident()
