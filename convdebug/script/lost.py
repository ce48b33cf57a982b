"""Models that can no longer be watched: the others are, and the script goes on."""

from __future__ import annotations

import contextlib

from convdebug.watched import Watch


class LostWatches:
    """What went wrong with them is in their runs; they fall silent as soon as that is safe."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.still_hearing: list[Watch] = []

    def add(self, watched: Watch, message: str) -> None:
        self.watches.append(watched)
        self.still_hearing.append(watched)
        watched.event("instrument-failed", instrument="lookout", message=message)

    def silence(self) -> None:
        """Not as soon as they are lost: torch may be walking through the very hooks that are to go."""
        while self.still_hearing:
            with contextlib.suppress(Exception):  # it is lost already, and its run says why
                self.still_hearing.pop().abandon()

    def finish(self, status: str, reason: str | None) -> None:
        """End their runs as the script has ended."""
        self.silence()
        for each in self.watches:
            each.run.finish(status, reason)
