"""How a program ended: its exit code as under Python, what is said of it, its traceback without our frames."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from .saying import flush

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True)
class Ending:
    """Exit code, and the status and reason with which its runs end; `error` is what it raised."""

    code: int
    status: str = "finished"
    reason: str | None = None
    error: BaseException | None = None


def ending_of(start: Callable[[], None], stopped: Callable[[BaseException], bool]) -> Ending:
    """Run a program to its end; `stopped` says of an exception that it is our own wish to stop."""
    try:
        start()
        _wait_for_threads()
    except SystemExit as leave:
        return _left(leave)
    except KeyboardInterrupt as interruption:
        _show(interruption)
        return Ending(130, "stopped", "interrupted from the keyboard")
    except BaseException as error:
        if stopped(error):
            return Ending(0, "stopped", str(error))
        _show(error)
        return Ending(1, "crashed", f"{type(error).__name__}: {error}", error)
    return Ending(0)


def _left(leave: SystemExit) -> Ending:
    """`sys.exit()`: a number, nothing, or a text that Python prints and turns into 1."""
    code = leave.code
    if code is None:
        return Ending(0)
    if not isinstance(code, int):
        flush(sys.stdout)
        with contextlib.suppress(AttributeError, OSError, ValueError):
            print(code, file=sys.stderr)
        return Ending(1, "stopped", f"the script ended itself: {code}")
    if code == 0:
        return Ending(0)
    return Ending(code & 0xFF, "stopped", f"the script ended itself with exit code {code}")


def _wait_for_threads() -> None:
    """As Python does before it leaves: the training may run in a thread of the script's own."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()


def _show(error: BaseException) -> None:
    """Print it as Python prints an uncaught exception, through the script's own hook if it has one."""
    forget_our_frames(error)
    flush(sys.stdout)
    sys.excepthook(type(error), error, error.__traceback__)
    flush(sys.stderr)


def forget_our_frames(error: BaseException) -> None:
    """Take the frames of this program out of the traceback of an exception and of those it came from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _without_ours(each.__traceback__)
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    frames = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(OURS):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for each in reversed(frames):
        kept = TracebackType(kept, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return kept
