"""Ctrl-C and SIGTERM as a wish: the step in progress ends first, so that what is kept can be resumed exactly."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interruption:
    """Between `__enter__` and `__exit__` the first signal sets `wanted`; a second one interrupts at once.

    So does the first while `waiting` says that no step is in progress.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, waiting: Callable[[], bool] = lambda: False) -> None:
        self.wanted = False
        self._waiting = waiting
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has arrived."""
        if self.wanted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted or self._waiting():
            raise KeyboardInterrupt
        self.wanted = True
