"""Records facts: what the training thread calls; everything slow is handed to the writer's thread."""

import atexit
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .errors import SessionError
from .facts import ENDINGS, Wish
from .numbers import dump
from .recovery import recover, refuse_a_living_writer
from .schema import beside, create_session, reason_of
from .segment import Group
from .writer import Writer


class Recorder:
    """The one writer of facts into a session. Closing it leaves one single file.

    `problem` says in one line why recording stopped (a full disk, a file taken away), `journal` is "wal", or "delete"
    where the file system cannot do better.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self._writer = writer
        self._runs: dict[int, RunRecorder] = {}
        self._closed = False
        atexit.register(self.close)

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> "Recorder":
        """Starts a new session; an existing file is refused unless `overwrite`."""
        place = Path(path)
        try:
            return cls._create(place, overwrite)
        except FileNotFoundError as error:
            raise SessionError(f"{place} cannot be made: its folder takes no file") from error
        except OSError as error:
            raise SessionError(reason_of(error, place)) from error

    @classmethod
    def _create(cls, path: Path, overwrite: bool) -> "Recorder":
        if path.is_dir():
            raise SessionError(f"{path} is a folder, a session is a file")
        if path.exists() and not overwrite:
            raise SessionError(f"{path} exists already")
        refuse_a_living_writer(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("wal", "shm", "live", "journal"):
            beside(path, ending).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        path.touch(exist_ok=False)
        try:
            create_session(path)
            return cls(path, Writer(path))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @classmethod
    def append(cls, path: str | os.PathLike[str]) -> "Recorder":
        """Adds runs to a session that is finished or whose writer was killed."""
        place = Path(path)
        try:
            recover(place)
            return cls(place, Writer(place))
        except FileExistsError as error:
            raise SessionError(f"{place} is being recorded by another process") from error
        except OSError as error:
            raise SessionError(reason_of(error, place)) from error

    @property
    def problem(self) -> str | None:
        return self._writer.problem

    @property
    def journal(self) -> str:
        return self._writer.journal

    def start_run(
        self,
        kind: str,
        name: str = "",
        *,
        config: dict[str, Any] | None = None,
        info: dict[str, Any] | None = None,
        parent: int | None = None,
        parent_step: int | None = None,
    ) -> "RunRecorder":
        """A new run; several may be open at once."""
        started = time.time()
        stored = (parent, parent_step, kind, name, started, None if config is None else dump(config), dump(info or {}))
        id = self._writer.ask(lambda database: database.execute(_INSERT_RUN, stored).lastrowid) or 0
        run = RunRecorder(self._writer, id, started, dict(info or {}))
        if self.journal != "wal" and not self._runs:
            run.event("note", text=_NO_WAL)
        self._runs[id] = run
        return run

    def flush(self) -> None:
        """Everything handed over so far is in the database when this returns."""
        self._writer.flush()

    def close(self) -> None:
        """Writes the rest, ends the runs that are open as stopped, and leaves one single file. May be called twice."""
        self._end("stopped", "the recording was closed before the run was finished")

    def _end(self, status: str, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        for run in self._runs.values():
            run.finish(status, reason)
        self._writer.close()
        atexit.unregister(self.close)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or kind is None or (isinstance(error, SystemExit) and not error.code):
            self.close()
        elif isinstance(error, KeyboardInterrupt):
            self._end("stopped", "interrupted from the keyboard")
        elif isinstance(error, SystemExit):
            self._end("stopped", f"the script ended itself: {error.code}")
        else:
            self._end("crashed", f"{kind.__name__}: {error}")


_NO_WAL = "the file system of this session has no shared memory: it is written with a rollback journal, which is slower"
_INSERT_RUN = (
    "INSERT INTO runs (parent, parent_step, kind, name, status, started, config, info) VALUES (?,?,?,?,'running',?,?,?)"
)


class RunRecorder:
    """One run while it is recorded. `pending_wishes` is swapped by the writer's thread; reading it costs nothing."""

    def __init__(self, writer: Writer, id: int, started: float, info: dict[str, Any]) -> None:
        self.id = id
        self.started = started
        self.pending_wishes: tuple[Wish, ...] = ()
        self._writer = writer
        self._info = info
        self._groups: dict[tuple[str, ...], Group] = {}
        self._applied: set[int] = set()
        self._ended = False
        writer.listeners.append(self)

    def group(self, names: Sequence[str]) -> Group:
        """The group of series that are sampled at the same steps; the same names give the same group."""
        key = tuple(names)
        if key not in self._groups:
            self._groups[key] = self._new_group(key)
        return self._groups[key]

    def _new_group(self, names: tuple[str, ...]) -> Group:
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError("a group needs the names of its series")
        if len(set(names)) < len(names):
            raise ValueError("the series of a group need different names")
        taken = {name for group in self._groups for name in group}.intersection(names)
        if taken:
            raise ValueError(f"series {min(taken)} is in another group of this run")
        return self._writer.new_group(self.id, names)

    def event(self, kind: str, step: int | None = None, **data: Any) -> None:
        """Something that happened, with data that JSON can hold (non-finite numbers are read back as they were)."""
        stored = (self.id, None if step is None else int(step), time.time(), kind, dump(data))
        self._writer.post("INSERT INTO events (run, step, time, kind, data) VALUES (?,?,?,?,?)", stored)

    def blob(
        self,
        kind: str,
        step: int,
        array: np.ndarray | bytes,
        *,
        name: str = "",
        names: Sequence[str] = (),
        **meta: Any,
    ) -> None:
        """An array or bytes at a step; it is copied, so that the caller may go on using it."""
        dtype, shape, data = _packed(array)
        stored = (self.id, kind, int(step), name, dump(list(names)), dtype, dump(shape), dump(meta), data)
        self._writer.post(_INSERT_BLOB, stored)

    def forget_blobs(self, kind: str, steps: Sequence[int]) -> None:
        """Takes away the blobs of a kind at these steps, as checkpoints that newer ones have replaced."""
        for step in steps:
            self._writer.post("DELETE FROM blobs WHERE run=? AND kind=? AND step=?", (self.id, kind, int(step)))

    @property
    def info(self) -> dict[str, Any]:
        """What the run says of itself, as far as it is known."""
        return dict(self._info)

    def update_info(self, **changes: Any) -> None:
        """Merges changes into the run's info."""
        self._info.update(changes)
        self._writer.post("UPDATE runs SET info=? WHERE id=?", (dump(self._info), self.id))

    def applied(self, wish: Wish, step: int) -> None:
        """Records that a wish was done, and at which step."""
        self._applied.add(wish.id)
        self.pending_wishes = tuple(other for other in self.pending_wishes if other.id != wish.id)
        self._writer.post("UPDATE wishes SET applied_step=? WHERE id=?", (int(step), wish.id))

    def offer(self, wishes: Sequence[Wish]) -> None:
        """Called by the writer's thread with all open wishes: keeps those for this run that are not older than it."""
        self.pending_wishes = tuple(
            wish
            for wish in wishes
            if wish.run in (None, self.id) and wish.made >= self.started and wish.id not in self._applied
        )

    def flush(self) -> None:
        """Everything handed over so far is in the database when this returns."""
        self._writer.flush()

    def finish(self, status: str = "finished", reason: str | None = None) -> None:
        """Ends the run as finished, stopped or crashed. The first call counts."""
        if status not in ENDINGS:
            raise ValueError(f"a run ends as {', '.join(ENDINGS)}, not as {status}")
        if self._ended:
            return
        self._ended = True
        self._writer.end_run(self.id, self, list(self._groups.values()), status, reason)


_INSERT_BLOB = "INSERT INTO blobs (run, kind, step, name, names, dtype, shape, meta, data) VALUES (?,?,?,?,?,?,?,?,?)"


def _packed(array: np.ndarray | bytes) -> tuple[str, list[int], bytes]:
    """dtype, shape and little-endian bytes; arrays of Python objects have none."""
    if isinstance(array, (bytes, bytearray, memoryview)):
        data = bytes(array)
        return "bytes", [len(data)], data
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"a blob of dtype {values.dtype} cannot be kept: numbers and booleans only")
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return values.dtype.str, list(values.shape), values.tobytes()
