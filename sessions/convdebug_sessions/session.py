"""Reads a session, finished or growing; writes opinions and wishes into it."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from . import drawing
from .errors import SessionError, nearest
from .facts import BlobRef, Buckets, Diagnosis, Event, Run, Wish
from .group_reader import GroupReader
from .numbers import load
from .opinions import add_wish, read_wishes, replace_diagnoses
from .side_file import SideReader
from .source import Source


class Session:
    """A session as of the last `refresh`. Between calls no transaction is held."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self._query = source.query
        self._readers: dict[int, list[GroupReader]] = {}
        self._runs: list[Run] | None = None
        self._growing: set[int] = set()
        self._seen: object = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Session":
        """Raises SessionError: not a session, empty, cut off, from a newer version, missing, no permission."""
        session = cls(Source(Path(path)))
        try:
            session.refresh()
        except SessionError:
            session.close()
            raise
        return session

    @property
    def live(self) -> bool:
        """True while a writer is alive."""
        return self._source.live

    def refresh(self) -> bool:
        """Looks for news in the database and the side file; True if anything changed."""
        self._source.look()
        version = self._query("PRAGMA data_version")
        side = self._source.rows_beside
        seen = (version, self.live, side.counts() if side else {})
        if seen == self._seen:
            return False
        self._seen, self._runs = seen, None
        growing = {id for (id,) in self._query("SELECT id FROM runs WHERE status='running'")} | self._growing
        self._refresh_groups([reader for run in growing for reader in self._readers.get(run, ())])
        return True

    def _refresh_groups(self, readers: Sequence[GroupReader]) -> None:
        """The database first, then the rows beside it; again where those in between were written meanwhile."""
        side = self._source.rows_beside
        for _ in range(5):
            counts = side.counts() if side else {}
            with self._source.snapshot():
                for reader in readers:
                    reader.refresh()
            readers = [reader for reader in readers if not _add_newer(reader, side, counts)]
            if not readers:
                return

    # Runs

    @property
    def runs(self) -> list[Run]:
        """All runs in the order in which they were started."""
        if self._runs is None:
            rows = self._query(f"SELECT {_RUN} FROM runs ORDER BY id")
            self._growing = {row[0] for row in rows if row[5] == "running"}
            self._runs = [self._run(*row) for row in rows]
        return list(self._runs)

    def _run(
        self,
        id: int,
        parent: int | None,
        parent_step: int | None,
        kind: str,
        name: str,
        status: str,
        reason: str | None,
        started: float,
        ended: float | None,
        steps: int,
        config: str | None,
        info: str,
    ) -> Run:
        settings = None if config is None else load(config, dict, f"the config of run {id}")
        known = load(info, dict, f"the info of run {id}")
        if status == "running":
            steps = self._steps_so_far(id)
            status = "running" if self.live else "killed"
        return Run(id, parent, parent_step, kind, name, status, reason, started, ended, steps, settings, known)

    def _steps_so_far(self, run: int) -> int:
        """Rows beside the database count as well."""
        readers = self._groups_of(run)
        main = [reader for reader in readers if "train/loss" in reader.columns]
        return max((reader.last_step for reader in main or readers), default=-1) + 1

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

    def _groups_of(self, run: int) -> list[GroupReader]:
        known = self._readers.setdefault(run, [])
        newest = known[-1].id if known else 0
        rows = self._query("SELECT id, names FROM groups WHERE run=? AND id>? ORDER BY id", (run, newest))
        for id, names in rows:
            listed = tuple(str(name) for name in load(names, list, "the names of a group"))
            reader = GroupReader(id, listed, self._query)
            self._refresh_groups([reader])
            known.append(reader)
        return known

    def _groups(self, run: int | None) -> list[GroupReader]:
        return self._groups_of(self.run(run).id)

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
        replace_diagnoses(self.path, run, diagnoses)

    def wish(self, what: str, value: Any = None, run: int | None = None) -> int:
        """Asks the training to pause, continue, step, stop, or set values; gives the number of the wish."""
        return add_wish(self.path, what, value, run)

    def wishes(self, pending_only: bool = False) -> list[Wish]:
        """The wishes in the order in which they were made."""
        return read_wishes(self._query, pending_only)

    def close(self) -> None:
        """Lets go of the file. May be called twice."""
        self._source.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_RUN = "id, parent, parent_step, kind, name, status, reason, started, ended, steps, config, info"
_BLOB = "id, run, step, kind, name, names, dtype, shape, meta"


def _add_newer(reader: GroupReader, side: SideReader | None, counts: Mapping[int, int]) -> bool:
    newer = side.rows(reader.id, reader.rows, counts.get(reader.id, 0)) if side else None
    return newer is None or reader.add_newer(*newer)


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
