"""Runs a program watched: its session is opened when it first trains, and complete whatever ends the program."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convdebug.errors import UserError

from .arrival import when_imported
from .ending import Ending, ending_of
from .program import Program
from .saying import say
from .termination import on_termination

if TYPE_CHECKING:
    from convdebug_sessions import Recorder

    from .lookout import Lookout

OpenSession = Callable[[], "Recorder"]


class WatchedProgram:
    """One program in this process. Neither torch nor numpy is loaded before the program itself loads torch."""

    def __init__(self, open_session: OpenSession, limits: dict[str, Any]) -> None:
        self.recorder: Recorder | None = None
        self.problem: str | None = None
        self.lookout: Lookout | None = None
        self._open_session, self._limits = open_session, limits
        self._search_path = list(sys.path)
        self._bad_use: UserError | None = None
        self._process = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether this is a child that the script has forked: the recording is its parent's."""
        return os.getpid() != self._process

    def run(self, find: Callable[[], Program]) -> Ending:
        """Run what `find` finds, to its end; the runs in the session are ended as the program ended."""
        if os.environ.get("RANK", "0") == "0":
            when_imported("torch", self._begin)
        else:
            self.problem = "of several ranks only the first is watched"
        on_termination(lambda: self._end(Ending(143, "stopped", "terminated by SIGTERM")))
        ending = ending_of(lambda: self._found(find).start(), self._is_our_stop)
        self._end(ending)
        if self._bad_use is not None:
            raise self._bad_use
        return ending

    def _found(self, find: Callable[[], Program]) -> Program:
        try:
            return find()
        except UserError as problem:
            self._bad_use = problem
            raise SystemExit(2) from None

    def _end(self, ending: Ending) -> None:
        """Complete the session; if that fails, the script has still ended as it did."""
        if self.is_forked:
            return
        lookout, recorder = self.lookout, self.recorder
        try:
            if lookout is not None:
                lookout.stop(ending.status, ending.reason, ending.error)
            if recorder is not None:
                recorder.close()
        except Exception as problem:
            say(f"the session could not be completed: {type(problem).__name__}: {problem}")

    def _begin(self) -> None:
        """The program has loaded torch: from now on it is heard. Never raises into the program."""
        theirs, sys.path[:] = list(sys.path), self._search_path
        try:
            with warnings.catch_warnings():
                from .limits import Limits
                from .lookout import Lookout

                self.lookout = Lookout(self._start_run, Limits(**self._limits), say)
                self.lookout.start()
        except Exception as problem:
            self.problem = f"the script runs unwatched: {type(problem).__name__}: {problem}"
            say(self.problem)
        finally:
            sys.path[:] = theirs

    def _start_run(self, name: str, info: dict[str, Any]) -> Any:
        if self.recorder is None:
            self.recorder = self._open_session()
        return self.recorder.start_run("watch", name, info=info)

    def _is_our_stop(self, error: BaseException) -> bool:
        if self.lookout is None:
            return False
        from .limits import ScriptStopped

        return isinstance(error, ScriptStopped)
