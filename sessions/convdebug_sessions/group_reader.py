"""Reads the series of one group: full chunks from the database, the newest rows from a copy in memory."""

from collections.abc import Callable, Sequence

import numpy as np

from . import levels
from .errors import SessionError
from .numbers import as_array

Query = Callable[[str, Sequence[object]], list[tuple]]


class _Level:
    """What is known of a level: the directory of its full chunks, and a copy of the entries since the last of them."""

    def __init__(self, number: int, width: int) -> None:
        self.end = 0
        self.starts = self.first_steps = self.last_steps = np.empty(0, np.int64)
        self.packed_steps: dict[int, bytes] = {}
        self._steps = np.empty((64, 2 if number else 1), np.int64)
        self._values = np.empty((64, width * (levels.PARTS if number else 1)), np.float32)
        self._fill = 0

    @property
    def tail_steps(self) -> np.ndarray:
        return self._steps[: self._fill]

    @property
    def tail_values(self) -> np.ndarray:
        return self._values[: self._fill]

    @property
    def entries(self) -> int:
        return self.end + self._fill

    @property
    def uneven(self) -> list[int]:
        """The chunks whose steps are kept one by one."""
        return list(self.packed_steps)

    def add(self, steps: np.ndarray, values: np.ndarray) -> None:
        fill = self._fill + len(steps)
        if fill > len(self._steps):
            self._steps, self._values = _roomier(self._steps, fill), _roomier(self._values, fill)
        self._steps[self._fill : fill] = steps
        self._values[self._fill : fill] = values
        self._fill = fill

    def add_chunks(self, end: int, directory: Sequence[tuple]) -> None:
        """Full chunks up to entry `end`; what they hold leaves the tail."""
        starts, _, first, last, packed = zip(*directory, strict=True)
        known = len(self.starts)
        self.starts = np.append(self.starts, np.array(starts, np.int64))
        self.first_steps = np.append(self.first_steps, np.array(first, np.int64))
        self.last_steps = np.append(self.last_steps, np.array(last, np.int64))
        self.packed_steps.update({known + index: each for index, each in enumerate(packed) if each is not None})
        kept = max(0, self.entries - end)
        self._steps[:kept] = self._steps[self._fill - kept : self._fill].copy()
        self._values[:kept] = self._values[self._fill - kept : self._fill].copy()
        self._fill, self.end = kept, end


def _roomier(array: np.ndarray, rows: int) -> np.ndarray:
    grown = np.empty((max(2 * len(array), rows), array.shape[1]), array.dtype)
    grown[: len(array)] = array
    return grown


class GroupReader:
    """One group as of the last `refresh`: `rows` of them, in increasing order of their steps."""

    def __init__(self, id: int, names: tuple[str, ...], query: Query) -> None:
        self.id, self.names, self._query = id, names, query
        self.columns = {name: index for index, name in enumerate(names)}
        self._levels = [_Level(0, len(names))]

    @property
    def rows(self) -> int:
        return self._levels[0].entries

    @property
    def last_step(self) -> int:
        """Of the last row; −1 where there is none."""
        return int(self.steps(self.rows - 1, self.rows)[0]) if self.rows else -1

    def refresh(self) -> None:
        """Takes in what the database has now; to be called inside a snapshot."""
        number = 0
        while self._refresh_level(number):
            number += 1
            if number == len(self._levels):
                self._levels.append(_Level(number, len(self.names)))

    def _refresh_level(self, number: int) -> bool:
        """True where the level has full chunks, so that there is a coarser one."""
        level = self._levels[number]
        directory = self._query(_DIRECTORY, (self.id, number, level.end))
        if directory:
            level.add_chunks(self._checked_end(number, directory), directory)
        for row0, rows, steps, data in self._query(_TAIL, (self.id, number, level.entries)):
            skipped = level.entries - row0
            if skipped < 0:
                raise SessionError("the session is damaged: rows are missing")
            new_steps = as_array(steps, np.int64, (rows, level.tail_steps.shape[1]))
            level.add(new_steps[skipped:], as_array(data, np.float32, (rows, level.tail_values.shape[1]))[skipped:])
        return level.end > 0

    def _checked_end(self, number: int, directory: Sequence[tuple]) -> int:
        length, end = levels.chunk_length(number), self._levels[number].end
        for row0, rows, first, last, packed in directory:
            even = number > 0 or packed is not None or (last - first) % (length - 1) == 0
            if row0 != end or rows != length or last - first < length - 1 or not even:
                raise SessionError("the session is damaged: a chunk is missing")
            end += length
        return end

    def add_newer(self, row0: int, steps: np.ndarray, values: np.ndarray) -> bool:
        """Rows from the side file, the first of which is row number `row0`; False where rows before it are missing."""
        skipped = self.rows - row0
        if skipped < 0 or values.shape[1] != len(self.names):
            return False
        self._levels[0].add(steps[skipped:, None], values[skipped:])
        return True

    # Steps

    def row_at(self, step: int) -> int:
        """The number of rows before `step`, which is the row of the step itself where there is one."""
        level = self._levels[0]
        if len(level.tail_steps) and step >= level.tail_steps[0, 0]:
            return int(level.end + np.searchsorted(level.tail_steps[:, 0], step))
        chunk = int(np.searchsorted(level.last_steps, step))
        if chunk == len(level.starts):
            return int(level.end)
        return int(level.starts[chunk] + np.searchsorted(self._chunk_steps(chunk), step))

    def range(self, first: int | None, last: int | None) -> tuple[int, int]:
        """The rows of the steps from `first` to `last`, both included; None is open."""
        start = 0 if first is None else self.row_at(int(first))
        end = self.rows if last is None else self.row_at(int(last) + 1)
        return start, max(start, end)

    def _chunk_steps(self, chunk: int) -> np.ndarray:
        level = self._levels[0]
        packed = level.packed_steps.get(chunk)
        if packed is not None:
            return as_array(packed, np.int64, (levels.CHUNK_ROWS,))
        first, last = int(level.first_steps[chunk]), int(level.last_steps[chunk])
        gap = (last - first) // (levels.CHUNK_ROWS - 1)
        return np.arange(first, last + 1, max(gap, 1))

    def steps(self, start: int, end: int) -> np.ndarray:
        """The steps of rows start … end − 1."""
        level = self._levels[0]
        pieces = [self._chunk_steps(chunk) for chunk in _chunks(start, min(end, level.end), levels.CHUNK_ROWS)]
        return _cut([*pieces, level.tail_steps[:, 0]], start, end, level.end, levels.CHUNK_ROWS)

    def steps_of(self, rows: np.ndarray) -> np.ndarray:
        """The steps of some rows, given in increasing order."""
        level = self._levels[0]
        found = np.empty(len(rows), np.int64)
        in_tail = int(np.searchsorted(rows, level.end))
        found[in_tail:] = level.tail_steps[rows[in_tail:] - level.end, 0]
        chunks = rows[:in_tail] // levels.CHUNK_ROWS
        inside = rows[:in_tail] - chunks * levels.CHUNK_ROWS
        firsts, lasts = level.first_steps[chunks], level.last_steps[chunks]
        found[:in_tail] = firsts + inside * ((lasts - firsts) // (levels.CHUNK_ROWS - 1))
        for chunk in np.intersect1d(chunks, level.uneven):
            there = slice(*np.searchsorted(chunks, [chunk, chunk + 1]))
            found[there] = self._chunk_steps(chunk)[inside[there]]
        return found

    # Values

    def values(self, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        """float32 (len(columns), end − start): the raw values of some columns."""
        return self._entries(0, columns, start, end)[:, 0]

    def cells(self, number: int, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        """float32 (len(columns), 4, end − start): buckets of a level from 1 on."""
        return self._entries(number, columns, start, end)

    def _entries(self, number: int, columns: Sequence[int], start: int, end: int) -> np.ndarray:
        level, length = self._levels[number], levels.chunk_length(number)
        parts = levels.PARTS if number else 1
        chunks = _chunks(start, min(end, level.end), length)
        pieces = [self._chunk(number, columns, chunk) for chunk in chunks]
        tail = level.tail_values.reshape(-1, len(self.names), parts)[:, list(columns)]
        return _cut_last([*pieces, np.moveaxis(tail, 0, 2)], start, end, level.end, length)

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
            covered.append(level.entries * levels.rows_per_bucket(number))
        return covered


_DIRECTORY = (
    "SELECT row0, rows, first_step, last_step, steps FROM chunk_steps WHERE grp=? AND level=? AND row0>=? ORDER BY row0"
)
_TAIL = "SELECT row0, rows, steps, data FROM tail WHERE grp=? AND level=? AND row0+rows>? ORDER BY row0"
_ONE = "SELECT data FROM chunk WHERE grp=? AND level=? AND row0=? AND col=?"
_ALL = "SELECT col, data FROM chunk WHERE grp=? AND level=? AND row0=?"


def _unpacked(blob: object, number: int, length: int) -> np.ndarray:
    """One column of a chunk (1 or 4, length); the counts of non-finite values are left out where all are zero."""
    if number == 0:
        return as_array(blob, np.float32, (1, length))
    if isinstance(blob, bytes) and len(blob) == 4 * levels.BAD * length:
        return np.concatenate([as_array(blob, np.float32, (levels.BAD, length)), np.zeros((1, length), np.float32)])
    return as_array(blob, np.float32, (levels.PARTS, length))


def _chunks(start: int, end: int, length: int) -> range:
    return range(start // length, -(-end // length)) if start < end else range(0)


def _cut(pieces: list[np.ndarray], start: int, end: int, chunk_end: int, length: int) -> np.ndarray:
    offset = start // length * length if start < chunk_end else chunk_end
    return np.concatenate(pieces)[start - offset : end - offset].astype(pieces[-1].dtype, copy=False)


def _cut_last(pieces: list[np.ndarray], start: int, end: int, chunk_end: int, length: int) -> np.ndarray:
    offset = start // length * length if start < chunk_end else chunk_end
    return np.concatenate(pieces, axis=2)[:, :, start - offset : end - offset]
