"""Where a reader gets its facts: the database, the side file beside it, and whether the writer is alive."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import schema
from .errors import SessionError
from .recovery import open_side
from .side_file import SideReader


class Source:
    """Holds no transaction between calls, and no connection either once the writer wants to close."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.live = False
        self.side: SideReader | None = None
        self.rows_beside: SideReader | None = None
        self._database: sqlite3.Connection | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._keep = True
        self._in_snapshot = False
        self._closed = False
        self._guard = threading.RLock()
        schema.check_header(path)
        schema.check_size(path)
        try:
            self._check()
            self.look()
        except BaseException:
            self.close()
            raise
        _sources.add(self)

    def _check(self) -> None:
        with self._connection() as database:
            version = schema.check_version(database, self.path)
        if version < schema.VERSION:
            self.let_go()
            schema.bring_up_to_date(self.path)

    def look(self) -> None:
        """Is the side file still the one of this session, and is its writer alive? May it be time to let go?"""
        if self.side is not None and not self.side.still_at(self.path):
            self.side.close()
            self.side = self.rows_beside = None
        if self.side is None:
            self.side = open_side(self.path)
        mine = self.side if self.side is not None and self.side.token == self._token() else None
        self.rows_beside = mine
        self.live = mine is not None and mine.alive
        self._keep = not (mine is not None and self.live and mine.closing)
        if not self._keep:
            self.let_go()

    def _token(self) -> object:
        found = self.query("SELECT token FROM writer")
        return found[0][0] if found else None

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        """All rows of a SELECT.

        A file that is written anew while it is read looks damaged for that moment: it is opened and asked once more.
        """
        try:
            return self._rows(statement, values)
        except SessionError as error:
            if self._in_snapshot or "malformed" not in str(error.__cause__):
                raise
        self.let_go()
        return self._rows(statement, values)

    def _rows(self, statement: str, values: Sequence[object]) -> list[tuple]:
        with self._connection() as database:
            return database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is queried inside belongs together."""
        with self._connection() as database:
            database.execute("BEGIN")
            kept, self._keep, self._in_snapshot = self._keep, True, True
            try:
                yield
            finally:
                self._keep, self._in_snapshot = kept, False
                if database.in_transaction:
                    database.execute("COMMIT")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            if self._closed:
                raise SessionError(f"{self.path} was closed")
            try:
                if self._database is None:
                    self._database = self._connect()
                yield self._database
            except (sqlite3.Error, OSError) as error:
                raise SessionError(_in_words(error, self.path)) from error
            finally:
                if not self._keep:
                    self.let_go()

    def _connect(self) -> sqlite3.Connection:
        """Opened for writing where that is allowed, so that the last one out tidies up behind a killed writer."""
        try:
            return _probed(self.path)
        except sqlite3.OperationalError:
            if schema.beside(self.path, "wal").exists():
                return _probed(self._copied())
            return _probed(self.path, "ro", immutable=True)

    def _copied(self) -> Path:
        """A killed session in a folder that cannot be written, whose shared memory is gone: read in a copy."""
        self._copy = self._copy or tempfile.TemporaryDirectory(prefix="convdebug-")
        copy = Path(self._copy.name) / self.path.name
        for ending in ("", "-wal"):
            shutil.copyfile(f"{self.path}{ending}", f"{copy}{ending}")
        return copy

    def let_go(self) -> None:
        """Closes the connection; the next query opens another."""
        with self._guard:
            database, self._database = self._database, None
            if database is not None:
                database.close()

    def close(self) -> None:
        """Lets go of everything. May be called twice."""
        with self._guard:
            self.let_go()
            self._closed = True
            if self.side is not None:
                self.side.close()
                self.side = self.rows_beside = None
            if self._copy is not None:
                self._copy.cleanup()
                self._copy = None


def _probed(path: Path, mode: str = "rw", immutable: bool = False) -> sqlite3.Connection:
    """A connection that has really read something: SQLite opens lazily."""
    database = schema.connect(path, mode, options={"immutable": "1"} if immutable else {})
    try:
        database.execute("PRAGMA query_only=1")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _in_words(error: sqlite3.Error | OSError, path: Path) -> str:
    if isinstance(error, OSError):
        return f"{path} cannot be read: {error.strerror}" if path.exists() else schema.absent(path)
    if isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
        return f"no permission for {path}" if path.exists() else schema.absent(path)
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return f"{path} is locked by another process"
    return f"{path} is damaged or not a convdebug session: {error}"


def release(path: Path) -> None:
    """Readers in this process let go of a session that is being closed: they open it again when they read on."""
    for source in list(_sources):
        if source.path == path or _same_file(source.path, path):
            source.let_go()


def _same_file(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False


_sources: weakref.WeakSet[Source] = weakref.WeakSet()
