"""Reads a session, finished or growing; writes opinions and wishes into it."""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from . import drawing
from .errors import SessionError, nearest
from .facts import BlobRef, Buckets, Diagnosis, Event, Run, Wish
from .group_reader import GroupReader
from .numbers import dump, load
from .schema import beside, check_header, check_version, connect
from .writer import read_wishes


class Session:
    """A session as of the last `refresh`. Between calls no transaction is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.live = False
        self._database: sqlite3.Connection | None = connect(path, "ro")
        self._readers: dict[int, list[GroupReader]] = {}
        self._seen: object = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Session":
        """Raises SessionError: not a session, empty, cut off, from a newer version, missing, no permission."""
        place = Path(path)
        check_header(place)
        session = cls(place)
        try:
            check_version(session._connected(), place)
            session.refresh()
        except sqlite3.DatabaseError as error:
            session.close()
            raise SessionError(f"{place} is damaged or not a convdebug session: {error}") from error
        except SessionError:
            session.close()
            raise
        return session

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise SessionError(f"{self.path} was closed")
        return self._database

    def _query(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        try:
            return self._connected().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise SessionError(f"{self.path} cannot be read: {error}") from error

    def refresh(self) -> bool:
        """Looks for news; True if anything changed."""
        self.live = beside(self.path, "wal").exists()
        version = self._query("PRAGMA data_version")
        changed = version != self._seen
        self._seen = version
        if changed:
            for readers in self._readers.values():
                for reader in readers:
                    reader.refresh()
        return changed

    # Runs

    @property
    def runs(self) -> list[Run]:
        return [self._run(row) for row in self._query(f"SELECT {_RUN} FROM runs ORDER BY id")]

    def _run(self, row: tuple) -> Run:
        id, parent, parent_step, kind, name, status, reason, started, ended, steps, config, info = row
        settings = None if config is None else load(config, dict, f"the config of run {id}")
        known = load(info, dict, f"the info of run {id}")
        if status == "running" and not self.live:
            status = "killed"
        return Run(id, parent, parent_step, kind, name, status, reason, started, ended, steps, settings, known)

    def run(self, run: int | None = None) -> Run:
        """A run by its number; None is the last top-level training (train, watch), else the last run."""
        runs = self.runs
        if run is None:
            main = [each for each in runs if each.parent is None and each.kind in ("train", "watch")]
            if not runs:
                raise SessionError(f"{self.path} holds no run")
            return (main or runs)[-1]
        for each in runs:
            if each.id == run:
                return each
        raise SessionError(f"there is no run {run} in {self.path}{nearest(str(run), [str(each.id) for each in runs])}")

    # Series

    def _groups(self, run: int | None) -> list[GroupReader]:
        id = self.run(run).id
        known = self._readers.setdefault(id, [])
        newest = known[-1].id if known else 0
        for group, names in self._query("SELECT id, names FROM groups WHERE run=? AND id>? ORDER BY id", (id, newest)):
            listed = tuple(str(name) for name in load(names, list, "the names of a group"))
            reader = GroupReader(group, listed, self._query)
            reader.refresh()
            known.append(reader)
        return known

    def series_names(self, run: int | None = None) -> list[str]:
        """The names of all series of a run, in the order in which they were registered."""
        return [name for reader in self._groups(run) for name in reader.names]

    def _reader(self, name: str, run: int | None) -> tuple[GroupReader, int]:
        readers = self._groups(run)
        for reader in readers:
            if name in reader.columns:
                return reader, reader.columns[name]
        names = [known for reader in readers for known in reader.names]
        raise SessionError(f"there is no series {name}{nearest(name, names)}")

    def series(
        self, name: str, run: int | None = None, first: int | None = None, last: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps (int64) and values (float64) of every recorded row from step `first` to `last`, both included."""
        reader, column = self._reader(name, run)
        start, end = reader.range(first, last)
        return reader.steps(start, end), reader.values([column], start, end)[0].astype(np.float64)

    def series_since(self, name: str, run: int | None, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a series from row number `row` on."""
        reader, column = self._reader(name, run)
        start, end = min(row, reader.rows), reader.rows
        return reader.steps(start, end), reader.values([column], start, end)[0].astype(np.float64)

    def matrix(
        self, names: Sequence[str], run: int | None = None, first: int | None = None, last: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps (n,) and values (n, len(names)): the union of the steps of all groups, NaN where absent."""
        places = [self._reader(name, run) for name in names]
        if not places:
            return np.empty(0, np.int64), np.empty((0, 0))
        parts = []
        for reader in dict.fromkeys(reader for reader, _ in places):
            start, end = reader.range(first, last)
            wanted = [index for index, (owner, _) in enumerate(places) if owner is reader]
            columns = [places[index][1] for index in wanted]
            parts.append((reader.steps(start, end), wanted, reader.values(columns, start, end).T))
        if len(parts) == 1:
            steps, wanted, values = parts[0]
            return steps, values.astype(np.float64)
        union = np.unique(np.concatenate([steps for steps, _, _ in parts]))
        joined = np.full((len(union), len(names)), np.nan)
        for steps, wanted, values in parts:
            joined[np.searchsorted(union, steps)[:, None], np.array(wanted)] = values
        return union, joined

    def value(self, name: str, step: int, run: int | None = None) -> tuple[int, float] | None:
        """Step and value of the last row at or before `step`."""
        reader, column = self._reader(name, run)
        end = reader.row_at(int(step) + 1)
        if not end:
            return None
        return int(reader.steps(end - 1, end)[0]), float(reader.values([column], end - 1, end)[0, 0])

    def buckets(
        self,
        name: str,
        run: int | None = None,
        first: int | None = None,
        last: int | None = None,
        points: int = 1000,
    ) -> Buckets:
        """The series with about `points` buckets; a non-finite value stays visible in `bad`."""
        reader, column = self._reader(name, run)
        return drawing.buckets_of(reader, column, *reader.range(first, last), points)

    def heat(
        self,
        names: Sequence[str],
        run: int | None = None,
        first: int | None = None,
        last: int | None = None,
        columns: int = 400,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (n + 1,) in steps, mean (len(names), n) and count of non-finite values (len(names), n), n <= columns.

        Between two samples a series keeps its value; where it has none yet, or only non-finite ones, the mean is NaN.
        """
        places = [self._reader(name, run) for name in names]
        readers = list(dict.fromkeys(reader for reader, _ in places))
        edges = drawing.heat_edges(readers, first, last, columns)
        total, good, bad = (np.zeros((len(names), len(edges) - 1)) for _ in range(3))
        for reader in readers:
            wanted = [index for index, (owner, _) in enumerate(places) if owner is reader]
            sums = drawing.heat_of(reader, [places[index][1] for index in wanted], edges)
            total[wanted], good[wanted], bad[wanted] = sums
        mean = np.divide(total, good, out=np.full_like(total, np.nan), where=good > 0)
        return edges, drawing.held(mean, good + bad > 0), bad.astype(np.int64)

    # Events and blobs

    def events(self, run: int | None = None, kinds: Collection[str] | None = None, after: int = 0) -> list[Event]:
        """The events of a run (0: of all) with a number above `after`, in the order in which they were written."""
        where, values = _of_run(self.run(run).id if run != 0 else 0)
        chosen = "" if kinds is None else f" AND kind IN ({','.join('?' * len(kinds))})"
        statement = f"SELECT id, run, step, time, kind, data FROM events WHERE id>?{where}{chosen} ORDER BY id"
        rows = self._query(statement, (after, *values, *(kinds or ())))
        return [_event(*row) for row in rows]

    def blobs(self, kind: str, run: int | None = None, name: str | None = None) -> list[BlobRef]:
        """The blobs of a kind, in order of their step."""
        return self._blobs("", kind, (), run, name, "ORDER BY step, id")

    def blob_at(self, kind: str, step: int, run: int | None = None, name: str | None = None) -> BlobRef | None:
        """The last blob of a kind at or before `step`."""
        found = self._blobs(" AND step<=?", kind, (step,), run, name, "ORDER BY step DESC, id DESC LIMIT 1")
        return found[0] if found else None

    def _blobs(
        self, where: str, kind: str, values: tuple, run: int | None, name: str | None, order: str
    ) -> list[BlobRef]:
        named = "" if name is None else " AND name=?"
        statement = f"SELECT {_BLOB} FROM blobs WHERE run=? AND kind=?{where}{named} {order}"
        rows = self._query(statement, (self.run(run).id, kind, *values, *(() if name is None else (name,))))
        return [_blob_ref(row) for row in rows]

    def read(self, ref: BlobRef) -> np.ndarray | bytes:
        """The contents of a blob; an array may be written to by the caller."""
        rows = self._query("SELECT data FROM blobs WHERE id=?", (ref.id,))
        if not rows or not isinstance(rows[0][0], bytes):
            raise SessionError(f"there is no blob {ref.id} in {self.path}")
        return _unpacked(ref, rows[0][0])

    # Opinions and wishes

    def diagnoses(self, run: int | None = None) -> list[Diagnosis]:
        """The diagnoses of a run (0: of all) in the order in which the rules put them."""
        where, values = _of_run(self.run(run).id if run != 0 else 0)
        rows = self._query(f"SELECT data FROM diagnoses WHERE 1{where} ORDER BY run, position", values)
        return [Diagnosis.from_json(load(row[0], dict, "a diagnosis")) for row in rows]

    def write_diagnoses(self, run: int, diagnoses: Sequence[Diagnosis]) -> None:
        """Replaces the diagnoses of a run."""
        rows = [(run, position, dump(each.as_json())) for position, each in enumerate(diagnoses)]

        def write(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM diagnoses WHERE run=?", (run,))
            database.executemany("INSERT INTO diagnoses VALUES (?,?,?)", rows)

        self._write(write)

    def wish(self, what: str, value: Any = None, run: int | None = None) -> int:
        """Asks the training to pause, continue, step, stop, or set values; gives the number of the wish."""
        row = (time.time(), run, what, dump(value))
        statement = "INSERT INTO wishes (made, run, what, value) VALUES (?,?,?,?)"
        return self._write(lambda database: database.execute(statement, row).lastrowid or 0)

    def wishes(self, pending_only: bool = False) -> list[Wish]:
        """The wishes in the order in which they were made."""
        return read_wishes(self._connected(), pending_only)

    def _write(self, job: Callable[[sqlite3.Connection], Any]) -> Any:
        """A short transaction on a connection of its own."""
        try:
            database = connect(self.path)
            try:
                database.execute("BEGIN IMMEDIATE")
                answer = job(database)
                database.execute("COMMIT")
            finally:
                database.close()
        except sqlite3.Error as error:
            raise SessionError(f"{self.path} cannot be written: {error}") from error
        return answer

    def close(self) -> None:
        """Lets go of the file. May be called twice."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_RUN = "id, parent, parent_step, kind, name, status, reason, started, ended, steps, config, info"
_BLOB = "id, run, step, kind, name, names, dtype, shape, meta"


def _of_run(id: int) -> tuple[str, tuple[int, ...]]:
    return (" AND run=?", (id,)) if id else ("", ())


def _event(id: int, run: int, step: int | None, made: float, kind: str, data: str) -> Event:
    return Event(id, run, step, made, kind, load(data, dict, f"event {id}"))


def _blob_ref(row: tuple) -> BlobRef:
    id, run, step, kind, name, names, dtype, shape, meta = row
    listed = tuple(str(each) for each in load(names, list, f"the names of blob {id}"))
    sizes = tuple(load(shape, list, f"the shape of blob {id}"))
    return BlobRef(id, run, step, kind, name, listed, dtype, sizes, load(meta, dict, f"the meta data of blob {id}"))


def _unpacked(ref: BlobRef, data: bytes) -> np.ndarray | bytes:
    if ref.dtype == "bytes":
        return data
    if not all(isinstance(size, int) and size >= 0 for size in ref.shape):
        raise SessionError(f"the session is damaged: blob {ref.id} has the shape {ref.shape}")
    dtype = _dtype(ref)
    count = 1
    for size in ref.shape:
        count *= size
    if count * dtype.itemsize != len(data):
        raise SessionError(f"the session is damaged: blob {ref.id} has {len(data)} bytes for the shape {ref.shape}")
    return np.frombuffer(data, dtype).reshape(ref.shape).copy()


def _dtype(ref: BlobRef) -> np.dtype:
    try:
        dtype = np.dtype(ref.dtype)
    except TypeError as error:
        raise SessionError(f"the session is damaged: blob {ref.id} has the unknown dtype {ref.dtype}") from error
    if dtype.kind not in "biuf" or dtype.subdtype is not None:
        raise SessionError(f"the session is damaged: blob {ref.id} has the dtype {ref.dtype}, which holds no numbers")
    return dtype
