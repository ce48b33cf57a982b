"""Writes the rows of one group into the database: a short tail first, full chunks by column, then the level pyramid."""

import sqlite3

import numpy as np

from . import levels
from .errors import SessionError
from .numbers import as_array

PIECES_PER_MERGE = 8

# One statement cuts a block into its columns inside SQLite: Python would hold the GIL once a column.
_CUT_COLUMNS = """
WITH RECURSIVE columns(col) AS (SELECT 0 UNION ALL SELECT col + 1 FROM columns WHERE col + 1 < :count)
INSERT INTO chunk (grp, level, row0, col, data)
SELECT :grp, :level, :row0, col, substr(:data, col * :size + 1, :size) FROM columns
"""


class LevelStore:
    """One level of a group: the entries since its last full chunk, in memory and in the table `tail`.

    An entry is a row (level 0: `width` values) or a bucket (its first and last step, `width` × 4 values).
    """

    def __init__(self, group: int, level: int, width: int) -> None:
        self.group, self.level, self.width = group, level, width
        self.row0 = 0
        self.fill = 0
        self.steps = np.empty((levels.chunk_length(level), 1 if level == 0 else 2), np.int64)
        self.values = np.empty((levels.chunk_length(level), width * (1 if level == 0 else levels.PARTS)), np.float32)
        self._pieces: list[list[int]] = []
        self._stored = 0

    @property
    def room(self) -> int:
        return len(self.steps) - self.fill

    def put(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Takes at most `room` entries; nothing is written yet."""
        end = self.fill + len(steps)
        self.steps[self.fill : end] = steps.reshape(len(steps), -1)
        self.values[self.fill : end] = values
        self.fill = end

    def write_tail(self, database: sqlite3.Connection) -> None:
        """Writes what came since the last call, joined with earlier pieces so that they stay few."""
        if self.fill == self._stored:
            return
        first, rank = self._stored, 0
        while len(same := [piece for piece in self._pieces if piece[1] == rank]) >= PIECES_PER_MERGE - 1:
            first, rank = same[0][0], rank + 1
            self._pieces = [piece for piece in self._pieces if piece[0] < first]
        self._delete_tail(database, first)
        self._insert_tail(database, first)
        self._pieces.append([first, rank])
        self._stored = self.fill

    def _delete_tail(self, database: sqlite3.Connection, first: int) -> None:
        if first < self._stored:
            database.execute(
                "DELETE FROM tail WHERE grp=? AND level=? AND row0>=?", (self.group, self.level, self.row0 + first)
            )

    def _insert_tail(self, database: sqlite3.Connection, first: int) -> None:
        rows = slice(first, self.fill)
        steps, values = self.steps[rows].tobytes(), self.values[rows].tobytes()
        entry = (self.group, self.level, self.row0 + first, self.fill - first, steps, values)
        database.execute("INSERT INTO tail VALUES (?,?,?,?,?,?)", entry)

    def write_chunk(self, database: sqlite3.Connection) -> np.ndarray:
        """Writes the full chunk by columns and starts the next; gives its values (C, rows) or cells (C, 4, buckets)."""
        self._delete_tail(database, 0)
        columns = self._columns()
        self._write_steps(database)
        data = self._packed(columns)
        size = len(data) // self.width
        names = {"grp": self.group, "level": self.level, "row0": self.row0, "count": self.width}
        database.execute(_CUT_COLUMNS, {**names, "size": size, "data": data})
        self.row0 += self.fill
        self.fill = self._stored = 0
        self._pieces = []
        return columns

    def load(self, database: sqlite3.Connection) -> bool:
        """Takes up what the database has of this level; True where it has full chunks."""
        place = (self.group, self.level)
        end = "SELECT coalesce(max(row0 + rows), 0), coalesce(max(last_step), -1) FROM chunk_steps"
        self.row0, self.steps[-1, -1] = database.execute(f"{end} WHERE grp=? AND level=?", place).fetchone()
        pieces = "SELECT row0, rows, steps, data FROM tail WHERE grp=? AND level=? ORDER BY row0"
        for row0, rows, steps, data in database.execute(pieces, place).fetchall():
            if row0 != self.row0 + self.fill or rows > self.room:
                raise SessionError("the session is damaged: its newest rows do not follow each other")
            self._pieces.append([self.fill, 0])
            self.put(
                as_array(steps, np.int64, (rows, self.steps.shape[1])),
                as_array(data, np.float32, (rows, self.values.shape[1])),
            )
        self._stored = self.fill
        return self.row0 > 0

    def _columns(self) -> np.ndarray:
        columns = np.ascontiguousarray(self.values.T)
        return columns if self.level == 0 else columns.reshape(self.width, levels.PARTS, -1)

    def _packed(self, columns: np.ndarray) -> bytes:
        """Leaves the counts of non-finite values out where all are zero."""
        if self.level and not columns[:, levels.BAD].any():
            return columns[:, : levels.BAD].tobytes()
        return columns.tobytes()

    def _write_steps(self, database: sqlite3.Connection) -> None:
        first, last = int(self.steps[0, 0]), int(self.steps[-1, -1])
        stored = None if self._evenly_spaced() else self.steps.tobytes()
        entry = (self.group, self.level, self.row0, self.fill, first, last, stored)
        database.execute("INSERT INTO chunk_steps VALUES (?,?,?,?,?,?,?)", entry)

    def _evenly_spaced(self) -> bool:
        """True where the steps of raw rows follow from the first, the last and their number."""
        if self.level:
            return False
        gaps = np.diff(self.steps[:, 0])
        return bool((gaps == gaps[0]).all())


class GroupStore:
    """All levels of one group; a level is made when the one below it fills its first chunk."""

    def __init__(self, group: int, width: int) -> None:
        self.group, self.width = group, width
        self._levels = [LevelStore(group, 0, width)]

    @property
    def rows(self) -> int:
        return self._levels[0].row0 + self._levels[0].fill

    @property
    def last_step(self) -> int:
        """Of the last row; −1 where there is none."""
        raw = self._levels[0]
        return int(raw.steps[raw.fill - 1, 0]) if self.rows else -1

    @classmethod
    def load(cls, database: sqlite3.Connection, group: int, width: int) -> "GroupStore":
        """The store as the database has it, to go on from there."""
        store = cls(group, width)
        while store._levels[-1].load(database):
            store._levels.append(LevelStore(group, len(store._levels), width))
        return store

    def append(self, database: sqlite3.Connection, steps: np.ndarray, values: np.ndarray) -> None:
        """Rows `values` (n, width) at `steps` (n,), inside the caller's transaction."""
        self._append(database, 0, steps, values)
        for level in self._levels:
            level.write_tail(database)

    def _append(self, database: sqlite3.Connection, number: int, steps: np.ndarray, values: np.ndarray) -> None:
        level = self._levels[number]
        while len(steps):
            taken = min(level.room, len(steps))
            level.put(steps[:taken], values[:taken])
            steps, values = steps[taken:], values[taken:]
            if not level.room:
                self._close_chunk(database, level)

    def _close_chunk(self, database: sqlite3.Connection, level: LevelStore) -> None:
        number = level.level
        columns = level.write_chunk(database)
        if number == 0:
            cells, factor = levels.from_rows(columns), levels.FIRST_FACTOR
        else:
            cells, factor = levels.from_cells(columns, levels.rows_per_bucket(number)), levels.FACTOR
        ends = np.stack([level.steps[::factor, 0], level.steps[factor - 1 :: factor, -1]], axis=1)
        if number + 1 == len(self._levels):
            self._levels.append(LevelStore(self.group, number + 1, self.width))
        self._append(database, number + 1, ends, np.moveaxis(cells, 2, 0).reshape(len(ends), -1))
