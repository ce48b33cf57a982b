"""The background thread that alone writes facts: it drains the rings, runs what was posted, and polls the wishes."""

import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import SessionError
from .facts import Wish
from .group_store import GroupStore
from .numbers import load
from .schema import connect
from .segment import COUNT, GROUP, RELEASED, Group, Segment, capacity_for, size_of

if TYPE_CHECKING:
    from .recorder import RunRecorder

TICK_S = 0.03
ROWS_EVERY_S = 0.1
CHECKPOINT_EVERY_S = 1.0

Answer = TypeVar("Answer")
Job = Callable[[sqlite3.Connection], Any]


class _Ring:
    """What the writer keeps for a group: its ring, its store, and the run that it belongs to."""

    def __init__(self, group: Group, run: int) -> None:
        self.group, self.run = group, run
        self.store = GroupStore(group.id, len(group.names))
        self.counts_steps = "train/loss" in group.names


class Writer:
    """One thread, one connection. `problem` is set when recording had to stop; the training is never disturbed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self.journal = ""
        self.runs: list[RunRecorder] = []
        self._rings: dict[int, _Ring] = {}
        self._posted: deque[Job] = deque()
        self._wake = threading.Event()
        self._room = threading.Condition()
        self._commits = 0
        self._closing = False
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="convdebug-writer", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed:
            raise SessionError(f"{path} cannot be written: {self._failed}") from self._failed

    # What the training thread calls

    def post(self, statement: str, values: tuple[Any, ...]) -> None:
        """Queues one statement for the next transaction."""
        if self.problem is None and not self._closing:
            self._posted.append(lambda database: database.execute(statement, values))

    def ask(self, job: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Runs a job in the writer's thread and waits for its answer; None where recording has stopped."""
        answers: list[Answer] = []
        if self.problem is None and not self._closing:
            self._posted.append(lambda database: answers.append(job(database)))
            self.flush()
        return answers[0] if answers else None

    def flush(self) -> None:
        """Waits until everything handed over before is committed, or recording has stopped."""
        with self._room:
            wanted = self._commits + 2
            self._wake.set()
            while self._commits < wanted and self.problem is None and self._thread.is_alive():
                self._wake.set()
                self._room.wait(0.02)

    def new_group(self, run: int, names: tuple[str, ...]) -> Group:
        """Registers a group and makes its ring."""
        from .numbers import dump

        statement = "INSERT INTO groups (run, names) VALUES (?,?)"
        id = self.ask(lambda database: database.execute(statement, (run, dump(list(names)))).lastrowid) or 0
        capacity = capacity_for(len(names))
        segment = Segment.create(bytearray(size_of(len(names), capacity)), id, len(names), capacity)
        group = Group(id, names, segment, self._wait_for_room)
        if id:
            self._rings[id] = _Ring(group, run)
        return group

    def _wait_for_room(self, group: Group, row: int) -> bool:
        """The ring is half full: wakes the writer; where it is full, waits until rows are in the database."""
        header = group.segment.header
        self._wake.set()
        with self._room:
            while row - header[RELEASED] >= group.segment.capacity:
                if self.problem or not self._thread.is_alive() or not header[GROUP]:
                    return False
                self._wake.set()
                self._room.wait(0.1)
        group._wake_at = int(header[RELEASED]) + max(group.segment.capacity // 2, 1)
        if row >= group._wake_at:
            group._wake_at = int(header[RELEASED]) + group.segment.capacity
        return True

    def end_run(self, run: "RunRecorder", status: str, reason: str | None, groups: list[Group]) -> None:
        """Writes the last word of a run and gives its rings back."""
        ended = (status, reason, time.time(), run.id)
        self.ask(lambda database: database.execute(_END_RUN, ended))
        for group in groups:
            self._rings.pop(group.id, None)
            group.segment.header[GROUP] = 0
        if run in self.runs:
            self.runs.remove(run)

    def close(self) -> None:
        """Writes the rest and ends the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    # The thread

    def _run(self) -> None:
        try:
            database = connect(self.path)
            self.journal = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA wal_autocheckpoint=0")
        except sqlite3.Error as error:
            self._failed = error
            self._ready.set()
            return
        self._ready.set()
        try:
            self._serve(database)
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode=DELETE")
        except Exception as error:
            self._stop(error)
        finally:
            database.close()
            with self._room:
                self._room.notify_all()

    def _serve(self, database: sqlite3.Connection) -> None:
        checkpoint_at = rows_at = 0.0
        version = -1
        while True:
            self._wake.wait(TICK_S)
            pressed = self._wake.is_set()
            self._wake.clear()
            closing, now = self._closing, time.monotonic()
            if pressed or self._posted or now >= rows_at or closing:
                self._commit(database)
                rows_at = now + ROWS_EVERY_S
            version = self._poll(database, version)
            if now >= checkpoint_at and self.journal == "wal":
                database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                checkpoint_at = now + CHECKPOINT_EVERY_S
            if closing:
                return

    def _commit(self, database: sqlite3.Connection) -> None:
        """Everything that is waiting, in one transaction; then the rings have room again."""
        jobs = [self._posted.popleft() for _ in range(len(self._posted))]
        counts = {id: int(ring.group.segment.header[COUNT]) for id, ring in list(self._rings.items())}
        fresh = {id: count for id, count in counts.items() if count > self._rings[id].store.rows}
        if jobs or fresh:
            database.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job(database)
            for id, count in fresh.items():
                self._drain(database, self._rings[id], count)
            database.execute("COMMIT")
        with self._room:
            for id, count in fresh.items():
                self._rings[id].group.segment.header[RELEASED] = count
            self._commits += 1
            self._room.notify_all()

    def _drain(self, database: sqlite3.Connection, ring: _Ring, count: int) -> None:
        ring.store.append(database, *ring.group.segment.rows(ring.store.rows, count))
        statement = _COUNT_STEPS if ring.counts_steps else _COUNT_STEPS_AT_LEAST
        database.execute(statement, ((ring.store.last_step or 0) + 1, ring.run))

    def _poll(self, database: sqlite3.Connection, version: int) -> int:
        """Looks for wishes; the writer's own commits do not change the data version."""
        seen = database.execute("PRAGMA data_version").fetchone()[0]
        if seen != version or any(run.pending_wishes for run in self.runs):
            wishes = read_wishes(database, pending_only=True)
            for run in list(self.runs):
                run.offer(wishes)
        return seen

    def _stop(self, error: Exception) -> None:
        self.problem = f"recording to {self.path} stopped: {error}"
        print(f"convdebug: {self.problem}", file=sys.stderr)


_END_RUN = "UPDATE runs SET status=?, reason=?, ended=? WHERE id=?"
_COUNT_STEPS = "UPDATE runs SET steps=? WHERE id=?"
_COUNT_STEPS_AT_LEAST = "UPDATE runs SET steps=max(steps, ?) WHERE id=?"


def read_wishes(database: sqlite3.Connection, pending_only: bool = False) -> list[Wish]:
    """The wishes in the order in which they were made."""
    where = "WHERE applied_step IS NULL" if pending_only else ""
    rows = database.execute(f"SELECT id, made, run, what, value, applied_step FROM wishes {where} ORDER BY id")
    return [
        Wish(id, made, run, str(what), load(value, object, "a wish"), applied)
        for id, made, run, what, value, applied in rows
    ]
