"""SIGTERM: the session is completed, then the process ends by the signal as it would have without us."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


def on_termination(act: Callable[[], None]) -> None:
    """Call `act` when SIGTERM arrives, unless the script or its parent has made a rule of their own for it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            if os.getpid() == process:
                act()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def forget() -> None:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)
