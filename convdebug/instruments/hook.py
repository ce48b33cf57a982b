"""What is hung on the user's modules: it stays behind when the module is copied or pickled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import get_ident
from typing import Any

from .harmless import Listening
from .home import heard_in


class Hook:
    """Calls `act` in the thread that is heard.

    A copy of the module (an average, the best so far) and a file of it get one that does nothing; else a copy would
    take along all that listens, down to the session. What a file holds instead is Python's own, so that it can be
    loaded where there is no convdebug. What goes wrong inside is told to `listening`, if there is one, as `harmless`
    does it, and never reaches the user's training.
    """

    def __init__(self, act: Callable[..., Any], listening: Listening | None = None) -> None:
        self.act, self.listening = act, listening

    def __call__(self, *about: Any) -> Any:
        if heard_in and heard_in[0] != get_ident():
            return None
        listening = self.listening
        if listening is None:
            return self.act(*about)
        if listening.broken:
            return None
        try:
            return self.act(*about)
        except Exception as problem:
            listening.broken = True
            listening.failed(problem)
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")  # takes whatever it is given and returns None
