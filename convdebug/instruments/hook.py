"""What is hung on the user's modules: it stays behind when the module is copied or pickled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import get_ident
from typing import Any

from .home import heard_in


class Hook:
    """Calls `act` in the thread that is heard.

    A copy of the module (an average, the best so far) and a file of it get one that does nothing; else a copy would
    take along all that listens, down to the session. What a file holds instead is Python's own, so that it can be
    loaded where there is no convdebug.
    """

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __call__(self, *about: Any) -> Any:
        return self.act(*about) if not heard_in or heard_in[0] == get_ident() else None

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")  # takes whatever it is given and returns None
