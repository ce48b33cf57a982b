"""How a program ended: its exit code as under Python, what is said of it, its traceback without our frames."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from convdebug.leaving import ended_by

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
    """Run a program to its end; `stopped` says of an exception that it is our own wish to stop.

    Where the main thread has reached its end, the training may still go on in another one.
    """
    ending = _ending_of(start, stopped)
    if ending.status != "finished":
        return ending
    waited = _ending_of(_wait_for_threads, stopped)
    return ending if waited.status == "finished" else waited


def _ending_of(act: Callable[[], None], stopped: Callable[[BaseException], bool]) -> Ending:
    try:
        act()
    except SystemExit as leave:
        return _left(leave)
    except KeyboardInterrupt as interruption:
        _show(interruption)
        return Ending(130, *ended_by(interruption))
    except BaseException as error:
        if stopped(error):
            return Ending(0, "stopped", str(error))
        _show(error)
        status, reason = ended_by(error)
        return Ending(1, status, reason, error if status == "crashed" else None)
    return Ending(0)


def _left(leave: SystemExit) -> Ending:
    """`sys.exit()` with its code; a text is printed, as Python does."""
    status, reason = ended_by(leave)
    if leave.code is None or isinstance(leave.code, int):
        return Ending((leave.code or 0) & 0xFF, status, reason)
    flush(sys.stdout)
    with contextlib.suppress(AttributeError, OSError, ValueError):
        print(leave.code, file=sys.stderr)
    return Ending(1, status, reason)


def _wait_for_threads() -> None:
    """As Python does before it leaves: pools of workers are told to end, then all threads are waited for."""
    for tell in reversed(getattr(threading, "_threading_atexits", ())):
        tell()
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
