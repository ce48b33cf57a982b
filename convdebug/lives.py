"""How far a watch has come: made, running, over. One watch is one run; those that are not over are known here."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convdebug.errors import UserError
from convdebug_sessions import RunRecorder, SessionError

from .instruments.opening import is_interactive

if TYPE_CHECKING:
    from torch import nn

    from .watched import Watch

MADE, RUNNING, OVER = "made", "running", "over"


@dataclass(eq=False)
class Life:
    """What may be asked of a watch now; what comes too late is said once and never reaches the training.

    `session` is the file that was opened for this watch and is closed with it.
    """

    model: nn.Module
    session: Path | None
    state: str = MADE
    in_block: bool = False
    said: bool = False

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    def begin(self) -> None:
        """UserError where it has begun before."""
        if self.state == RUNNING:
            raise UserError("this watch is running already: it is started once, by `with` or by start()")
        if self.state == OVER:
            raise UserError(
                "this watch is over, and one watch is one run: call convdebug.watch(...) again "
                "(append=True adds the new run to the same session)"
            )
        self.state = RUNNING

    def end(self) -> str:
        """It is over; what it was until now."""
        before, self.state = self.state, OVER
        return before

    def misses(self, call: str) -> bool:
        """Whether a call comes too late; UserError where it comes too early, before anything was trained."""
        if self.state == MADE:
            raise UserError(
                f"{call} before the watch has begun: use `with convdebug.watch(...) as watched:`, or watched.start()"
            )
        if self.state == OVER and not self.said:
            self.said = True
            print(f"convdebug: {call} after the watch was over: nothing more is recorded in its run", file=sys.stderr)
        return self.state == OVER


not_over: weakref.WeakKeyDictionary[Watch, Life] = weakref.WeakKeyDictionary()


def end_forgotten(path: Path) -> None:
    """End watches of this process that record into a session and were left open, as a cell that is run again does."""
    for watch, life in list(not_over.items()):
        if life.session is None or life.session.absolute() != path.absolute():
            continue
        if life.in_block:
            raise SessionError(
                f"{path} is being recorded by another watch of this program: "
                "give both the same convdebug_sessions.Recorder as their session"
            )
        watch.finish("stopped", "another watch has begun in the same session")


def end_forgotten_of(model: nn.Module) -> None:
    """End watches around a model that were made or started by hand and left open."""
    for watch, life in list(not_over.items()):
        if life.model is model and life.session is not None and not life.in_block:
            watch.finish("stopped", "another watch has begun around the same model")


def guarded(run: RunRecorder, act: Callable[..., None], *about: Any) -> None:
    """Do a part of ending a watch: the training has ended as it has, and what fails here changes nothing about that."""
    try:
        act(*about)
    except Exception as problem:
        message = f"{type(problem).__name__}: {problem}"
        print(f"convdebug: the end of the recording is incomplete: {message}", file=sys.stderr)
        run.event("instrument-failed", instrument="watch", message=message)


def uncaught() -> BaseException | None:
    """What has ended the program, where that was an error; what a cell of a notebook raised ended nothing."""
    return None if is_interactive() else getattr(sys, "last_value", None)


def _abandon_in_child() -> None:
    for watch in list(not_over):
        watch.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_child)
