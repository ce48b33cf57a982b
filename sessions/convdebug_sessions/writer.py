"""The background thread that alone writes facts: it drains the rings, runs what was posted, and polls the wishes."""

import os
import sqlite3
import sys
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .errors import SessionError
from .facts import Wish
from .group_store import GroupStore
from .numbers import dump
from .opinions import read_wishes
from .schema import connect
from .segment import COUNT, GROUP, RELEASED, Group
from .side_file import SideFile
from .source import release

TICK_S = 0.03
ROWS_EVERY_S = 0.1
CHECKPOINT_EVERY_S = 1.0
LETTING_GO_S = 1.5
BUSY_S = 30.0

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Any]


class Listener(Protocol):
    """A run that is open: it is told of the wishes."""

    def offer(self, wishes: list[Wish]) -> None: ...


class _Asked:
    """Work whose caller waits until it is committed."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.answer: Any = None
        self.committed = threading.Event()

    def __call__(self, database: sqlite3.Connection) -> None:
        self.answer = self._work(database)


class _Ring:
    """What the writer keeps for a group: its ring, its store, and the run that it belongs to."""

    def __init__(self, group: Group, run: int, counts_steps: bool) -> None:
        self.group, self.run, self.counts_steps = group, run, counts_steps
        self.segment = group.segment
        self.store = GroupStore(group.id, len(group.names))


class Writer:
    """One thread, one connection. `problem` is set when recording had to stop; the training is never disturbed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self.journal = ""
        self.listeners: list[Listener] = []
        self._rings: dict[int, _Ring] = {}
        self._stepped: set[int] = set()
        self._posted: deque[Work] = deque()
        self._wake = threading.Event()
        self._room = threading.Condition()
        self._closing = False
        self._side, database = self._begin()
        self._thread = threading.Thread(target=self._run, args=(database,), name="convdebug-writer", daemon=True)
        self._thread.start()
        _writers.add(self)

    def _begin(self) -> tuple[SideFile, sqlite3.Connection]:
        """Takes the session: the side file first, then its token into the database, which makes it count."""
        token = uuid.uuid4().hex
        side = SideFile(self.path, token)
        try:
            database = connect(self.path, timeout_s=BUSY_S)
            self.journal = _best_journal(database)
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA wal_autocheckpoint=0")
            database.execute("INSERT OR REPLACE INTO writer VALUES (1, ?)", (token,))
        except sqlite3.Error as error:
            side.remove()
            raise SessionError(f"{self.path} cannot be written: {error}") from error
        return side, database

    # What the training thread calls

    def post(self, statement: str, values: tuple[Any, ...]) -> None:
        """Queues one statement for the next transaction."""
        if self.problem is None and not self._closing:
            self._posted.append(lambda database: database.execute(statement, values))

    def ask(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Runs work in the writer's thread and waits until it is committed; None where recording has stopped."""
        if self.problem is not None or self._closing:
            return None
        asked = _Asked(work)
        self._posted.append(asked)
        self._wake.set()
        while not asked.committed.wait(0.2):
            if self.problem is not None or not self._thread.is_alive():
                return None
        return asked.answer

    def flush(self) -> None:
        """Waits until everything handed over before is committed, or recording has stopped."""
        self.ask(lambda database: None)

    def new_group(self, run: int, names: tuple[str, ...]) -> Group:
        """Registers a group and makes its ring; where recording has stopped, one whose rows are dropped."""
        statement = "INSERT INTO groups (run, names) VALUES (?,?)"
        id = self.ask(lambda database: database.execute(statement, (run, dump(list(names)))).lastrowid)
        segment = self._segment(id, len(names)) if id else None
        group = Group(id or 0, names, segment or Group.unkept(len(names)), self._wait_for_room)
        if segment is None or id is None:
            group.shut()
            return group
        counts_steps = "train/loss" in names
        if counts_steps:
            self._stepped.add(run)
        self._rings[id] = _Ring(group, run, counts_steps)
        return group

    def _segment(self, group: int, width: int) -> Any:
        try:
            return self._side.segment(group, width)
        except OSError as error:
            self._stop(error)
            return None

    def _wait_for_room(self, group: Group) -> bool:
        """At half the ring wakes the writer, at its end waits until rows are in the database. False: drop the row."""
        header, capacity = group.segment.header, group.segment.capacity
        if group.id not in self._rings:
            return False
        self._wake.set()
        while group.row - header[RELEASED] >= capacity:
            if self.problem is not None or not self._thread.is_alive():
                return False
            with self._room:
                self._wake.set()
                self._room.wait(0.05)
        half = int(header[RELEASED]) + capacity // 2
        group.wake_at = half if group.row < half else int(header[RELEASED]) + capacity
        return True

    def end_run(self, run: int, listener: Listener, groups: list[Group], status: str, reason: str | None) -> None:
        """Writes the last word of a run and gives its rings back."""
        if listener in self.listeners:
            self.listeners.remove(listener)
        ended = (status, reason, time.time(), run)
        if self.problem is not None:
            self._posted.append(lambda database: database.execute(_END_RUN, ended))
            return
        self.ask(lambda database: database.execute(_END_RUN, ended))
        for group in groups:
            if self.problem is None and (ring := self._rings.pop(group.id, None)) is not None:
                self._side.give_back(ring.segment)
            group.shut()

    def close(self) -> None:
        """Writes the rest, ends the thread, and leaves one single file."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        _writers.discard(self)
        for ring in self._rings.values():
            ring.group.shut()
        self._rings.clear()

    def abandon(self) -> None:
        """In a child after a fork: the recording belongs to the parent, nothing here may touch it."""
        self._closing = True
        for ring in self._rings.values():
            ring.group.shut()
        self._rings, self._posted, self.listeners = {}, deque(), []
        self._side.let_go()

    # The thread

    def _run(self, database: sqlite3.Connection) -> None:
        try:
            self._serve(database)
        except Exception as error:
            self._stop(error)
        while not self._closing:
            self._wake.wait(TICK_S * 10)
        try:
            self._finish(database)
        except Exception as error:
            self._stop(error)
            self._side.let_go()
        finally:
            database.close()
        with self._room:
            self._room.notify_all()

    def _serve(self, database: sqlite3.Connection) -> None:
        checkpoint_at = rows_at = 0.0
        seen: tuple[int, int] = (-1, 0)
        while not self._closing:
            pressed = self._wake.wait(TICK_S)
            self._wake.clear()
            now = time.monotonic()
            if pressed or self._posted or now >= rows_at:
                self._commit(database)
                rows_at = now + ROWS_EVERY_S
            seen = self._poll(database, seen)
            if now >= checkpoint_at and self.journal == "wal":
                database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                checkpoint_at = now + CHECKPOINT_EVERY_S

    def _commit(self, database: sqlite3.Connection) -> None:
        """Everything that is waiting, in one transaction; then the rings have room again."""
        works = [self._posted.popleft() for _ in range(len(self._posted))]
        fresh = [(ring, count) for ring in list(self._rings.values()) if (count := _count(ring)) > ring.store.rows]
        if works or fresh:
            try:
                self._transaction(database, works, fresh)
            except BaseException:
                self._posted.extendleft(reversed(works))
                raise
        for work in works:
            if isinstance(work, _Asked):
                work.committed.set()

    def _transaction(self, database: sqlite3.Connection, works: list[Work], fresh: list[tuple[_Ring, int]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        try:
            for work in works:
                work(database)
            for ring, count in fresh:
                self._drain(database, ring, count)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        with self._room:
            for ring, count in fresh:
                ring.segment.header[RELEASED] = count
            self._room.notify_all()

    def _drain(self, database: sqlite3.Connection, ring: _Ring, count: int) -> None:
        ring.store.append(database, *ring.segment.rows(ring.store.rows, count))
        if ring.counts_steps or ring.run not in self._stepped:
            statement = _COUNT_STEPS if ring.counts_steps else _COUNT_STEPS_AT_LEAST
            database.execute(statement, (ring.store.last_step + 1, ring.run))

    def _poll(self, database: sqlite3.Connection, seen: tuple[int, int]) -> tuple[int, int]:
        """Looks for wishes when another process wrote or a run began; own commits do not change the data version."""
        now = (database.execute("PRAGMA data_version").fetchone()[0], len(self.listeners))
        if now != seen and self.listeners:
            wishes = read_wishes(database.execute, pending_only=True)
            for listener in list(self.listeners):
                listener.offer(wishes)
        return now

    def _stop(self, error: Exception) -> None:
        """Recording ends here; said once."""
        if self.problem is None:
            self.problem = f"recording to {self.path} stopped: {error}"
            print(f"convdebug: {self.problem}", file=sys.stderr, flush=True)
        with self._room:
            self._room.notify_all()

    def _finish(self, database: sqlite3.Connection) -> None:
        """The rest, also what a full disk had stopped, if there is room by now; then one single file."""
        if self.problem is not None:
            for ring in self._rings.values():
                ring.store = GroupStore.load(database, ring.group.id, len(ring.group.names))
        self._commit(database)
        self._side.say_closing()
        release(self.path)
        if self.journal == "wal":
            _leave_wal(database)
        database.close()
        self._side.remove()


def _count(ring: _Ring) -> int:
    header = ring.segment.header
    return int(header[COUNT]) if header[GROUP] == ring.group.id else 0


def _best_journal(database: sqlite3.Connection) -> str:
    """ "wal", or "delete" where the file system has no shared memory (network mounts)."""
    try:
        mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.OperationalError:
        mode = ""
    return mode if mode == "wal" else str(database.execute("PRAGMA journal_mode=DELETE").fetchone()[0])


def _leave_wal(database: sqlite3.Connection) -> None:
    """Turns the database into a single file, once its readers have let go; one that stays does it when it leaves."""
    database.execute("PRAGMA busy_timeout=20")
    until = time.monotonic() + LETTING_GO_S
    while True:
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if database.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete":
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
        if time.monotonic() > until:
            return
        time.sleep(0.02)


_END_RUN = "UPDATE runs SET status=?, reason=?, ended=? WHERE id=?"
_COUNT_STEPS = "UPDATE runs SET steps=? WHERE id=?"
_COUNT_STEPS_AT_LEAST = "UPDATE runs SET steps=max(steps, ?) WHERE id=?"

_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _abandon_in_child() -> None:
    for writer in list(_writers):
        writer.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_child)
