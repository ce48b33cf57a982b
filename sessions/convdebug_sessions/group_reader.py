"""Reads the series of one group: full chunks from the database, the newest rows from a copy in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import levels
from .errors import SessionError

Query = Callable[[str, Sequence[object]], list[tuple]]


@dataclass
class _Level:
    """What is known of a level: the directory of its full chunks, and its tail."""

    starts: np.ndarray
    first_steps: np.ndarray
    last_steps: np.ndarray
    packed_steps: list[bytes | None]
    tail_steps: np.ndarray
    tail_values: np.ndarray

    @property
    def chunk_end(self) -> int:
        return self._end

    _end: int = 0


def _empty_level(level: int, width: int) -> _Level:
    nothing = np.empty(0, np.int64)
    columns, parts = (1, 1) if level == 0 else (2, levels.PARTS)
    tail = np.empty((0, width * parts), np.float32)
    return _Level(nothing, nothing, nothing, [], np.empty((0, columns), np.int64), tail)


class GroupReader:
    """One group as of the last `refresh`: `rows` of them, in increasing order of their steps."""

    def __init__(self, id: int, names: tuple[str, ...], query: Query) -> None:
        self.id, self.names, self._query = id, names, query
        self.columns = {name: index for index, name in enumerate(names)}
        self._levels = [_empty_level(0, len(names))]

    @property
    def rows(self) -> int:
        return self._levels[0]._end + len(self._levels[0].tail_steps)

    def refresh(self, newer: tuple[int, np.ndarray, np.ndarray] | None = None) -> bool:
        """Takes in what the database has now, and then the rows of the side file (first row, steps, values)."""
        before = self.rows
        number = 0
        while self._refresh_level(number):
            number += 1
            if number == len(self._levels):
                self._levels.append(_empty_level(number, len(self.names)))
        if newer is not None:
            self._add_newer(*newer)
        return self.rows != before

    def _refresh_level(self, number: int) -> bool:
        """True where the level has full chunks, so that there may be a coarser one."""
        level = self._levels[number]
        self._refresh_directory(number, level)
        self._refresh_tail(number, level)
        return level._end > 0

    def _refresh_directory(self, number: int, level: _Level) -> None:
        found = self._query(_DIRECTORY, (self.id, number, level._end))
        if not found:
            return
        starts, rows, first, last, packed = zip(*found, strict=True)
        length = levels.chunk_length(number)
        if starts[0] != level._end or any(count != length for count in rows):
            raise SessionError("the session is damaged: a chunk is missing")
        level.starts = np.append(level.starts, np.array(starts, np.int64))
        level.first_steps = np.append(level.first_steps, np.array(first, np.int64))
        level.last_steps = np.append(level.last_steps, np.array(last, np.int64))
        level.packed_steps.extend(packed)
        gone = starts[-1] + length - level._end
        level.tail_steps, level.tail_values = level.tail_steps[gone:], level.tail_values[gone:]
        level._end = starts[-1] + length

    def _refresh_tail(self, number: int, level: _Level) -> None:
        known = level._end + len(level.tail_steps)
        pieces = self._query(_TAIL, (self.id, number, known))
        for row0, rows, steps, data in pieces:
            skipped = known - row0
            new_steps = _array(steps, np.int64, (rows, level.tail_steps.shape[1]))[skipped:]
            new_values = _array(data, np.float32, (rows, level.tail_values.shape[1]))[skipped:]
            level.tail_steps = np.concatenate([level.tail_steps, new_steps])
            level.tail_values = np.concatenate([level.tail_values, new_values])
            known = row0 + rows

    def _add_newer(self, row0: int, steps: np.ndarray, values: np.ndarray) -> None:
        level = self._levels[0]
        skipped = self.rows - row0
        if skipped < 0 or skipped >= len(steps):
            return
        level.tail_steps = np.concatenate([level.tail_steps, steps[skipped:, None]])
        level.tail_values = np.concatenate([level.tail_values, values[skipped:]])

    # Steps

    def row_at(self, step: int) -> int:
        """The number of rows before `step`, which is the row of the step itself where there is one."""
        level = self._levels[0]
        if len(level.tail_steps) and step >= level.tail_steps[0, 0]:
            return int(level._end + np.searchsorted(level.tail_steps[:, 0], step))
        chunk = int(np.searchsorted(level.last_steps, step))
        if chunk == len(level.starts):
            return int(level._end)
        return int(level.starts[chunk] + np.searchsorted(self._chunk_steps(chunk), step))

    def range(self, first: int | None, last: int | None) -> tuple[int, int]:
        """The rows of the steps from `first` to `last`, both included; None is open."""
        start = 0 if first is None else self.row_at(int(first))
        end = self.rows if last is None else self.row_at(int(last) + 1)
        return start, max(start, end)

    def _chunk_steps(self, chunk: int) -> np.ndarray:
        level = self._levels[0]
        packed = level.packed_steps[chunk]
        if packed is None:
            return (
                np.linspace(level.first_steps[chunk], level.last_steps[chunk], levels.CHUNK_ROWS)
                .round()
                .astype(np.int64)
            )
        return _array(packed, np.int64, (levels.CHUNK_ROWS,))

    def steps(self, start: int, end: int) -> np.ndarray:
        """The steps of rows start … end − 1."""
        level = self._levels[0]
        pieces = [self._chunk_steps(chunk) for chunk in _chunks(start, min(end, level._end), levels.CHUNK_ROWS)]
        return _cut([*pieces, level.tail_steps[:, 0]], start, end, level._end, levels.CHUNK_ROWS)

    def steps_of(self, rows: np.ndarray) -> np.ndarray:
        """The steps of some rows, given in increasing order."""
        level = self._levels[0]
        found = np.empty(len(rows), np.int64)
        in_tail = int(np.searchsorted(rows, level._end))
        found[in_tail:] = level.tail_steps[rows[in_tail:] - level._end, 0]
        chunks = rows[:in_tail] // levels.CHUNK_ROWS
        for chunk in np.unique(chunks):
            of_chunk = np.flatnonzero(chunks == chunk)
            found[of_chunk] = self._chunk_steps(chunk)[rows[of_chunk] - level.starts[chunk]]
        return found

    # Values

    def values(self, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        """float32 (len(columns), end − start): the raw values of some columns."""
        return self._entries(0, columns, start, end)[:, 0]

    def cells(self, number: int, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        """float32 (len(columns), 4, end − start): buckets of a level; level 0 gives its rows as cells."""
        if number == 0:
            return levels.raw_cells(self.values(columns, start, end))
        return self._entries(number, columns, start, end)

    def _entries(self, number: int, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        level, length = self._levels[number], levels.chunk_length(number)
        parts = levels.PARTS if number else 1
        chunks = _chunks(start, min(end, level._end), length)
        pieces = [self._chunk(number, columns, chunk) for chunk in chunks]
        tail = level.tail_values.reshape(-1, len(self.names), parts)[:, list(columns)]
        return _cut_last([*pieces, np.moveaxis(tail, 0, 2)], start, end, level._end, length)

    def _chunk(self, number: int, columns: Sequence[int], chunk: int) -> np.ndarray:
        length = levels.chunk_length(number)
        row0 = chunk * length
        if len(columns) * 4 < len(self.names):
            found = [self._query(_ONE, (self.id, number, row0, column)) for column in columns]
            blobs = [rows[0][0] for rows in found if rows]
        else:
            every = dict(self._query(_ALL, (self.id, number, row0)))
            blobs = [every[column] for column in columns if column in every]
        if len(blobs) != len(columns):
            raise SessionError("the session is damaged: a column is missing")
        return np.stack([_unpacked(blob, number, length) for blob in blobs])

    @property
    def level_ends(self) -> list[int]:
        """How many rows each level covers: all of them at level 0."""
        covered = [self.rows]
        for number in range(1, len(self._levels)):
            level = self._levels[number]
            covered.append((level._end + len(level.tail_steps)) * levels.rows_per_bucket(number))
        return covered


_DIRECTORY = (
    "SELECT row0, rows, first_step, last_step, steps FROM chunk_steps WHERE grp=? AND level=? AND row0>=? ORDER BY row0"
)
_TAIL = "SELECT row0, rows, steps, data FROM tail WHERE grp=? AND level=? AND row0+rows>? ORDER BY row0"
_ONE = "SELECT data FROM chunk WHERE grp=? AND level=? AND row0=? AND col=?"
_ALL = "SELECT col, data FROM chunk WHERE grp=? AND level=? AND row0=?"


def _array(data: object, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(data, bytes) or len(data) != int(np.prod(shape)) * np.dtype(dtype).itemsize:
        raise SessionError("the session is damaged: a block of numbers has the wrong size")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _unpacked(blob: object, number: int, length: int) -> np.ndarray:
    """One column of a chunk (1 or 4, length); the counts of non-finite values are left out where all are zero."""
    if number == 0:
        return _array(blob, np.float32, (1, length))
    if isinstance(blob, bytes) and len(blob) == 4 * levels.BAD * length:
        return np.concatenate([_array(blob, np.float32, (levels.BAD, length)), np.zeros((1, length), np.float32)])
    return _array(blob, np.float32, (levels.PARTS, length))


def _chunks(start: int, end: int, length: int) -> range:
    return range(start // length, -(-end // length)) if start < end else range(0)


def _cut(pieces: list[np.ndarray], start: int, end: int, chunk_end: int, length: int) -> np.ndarray:
    offset = start // length * length if start < chunk_end else chunk_end
    return np.concatenate(pieces)[start - offset : end - offset].astype(pieces[-1].dtype, copy=False)


def _cut_last(pieces: list[np.ndarray], start: int, end: int, chunk_end: int, length: int) -> np.ndarray:
    offset = start // length * length if start < chunk_end else chunk_end
    return np.concatenate(pieces, axis=2)[:, :, start - offset : end - offset]
