"""A ring of rows in shared memory: the training thread writes a row and then the count, others read behind it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

HEADER_BYTES = 64
GROUP, WIDTH, CAPACITY, COUNT, RELEASED, SIZE = range(6)
_FIRST = HEADER_BYTES // 8
TARGET_BYTES = 1 << 22


def capacity_for(width: int) -> int:
    """Rows in a ring of about four megabytes, a power of two: 2048 rows of 200 series."""
    rows = TARGET_BYTES // (8 + 8 * width)
    return min(4096, max(64, 1 << max(rows.bit_length() - 1, 0)))


def size_of(width: int, capacity: int) -> int:
    """Bytes that a ring needs."""
    return HEADER_BYTES + capacity * (8 + 8 * width)


class Segment:
    """The ring of one group over a writable or read-only buffer. Row number r lies in slot r % capacity.

    Values are kept as float64: a value beyond float32 would make numpy warn in the user's training.
    """

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        self.header = np.frombuffer(buffer, np.int64, HEADER_BYTES // 8)
        self.width, self.capacity = int(self.header[WIDTH]), int(self.header[CAPACITY])
        self.steps = np.frombuffer(buffer, np.int64, self.capacity, HEADER_BYTES)
        values = np.frombuffer(buffer, np.float64, self.capacity * self.width, HEADER_BYTES + 8 * self.capacity)
        self.values = values.reshape(self.capacity, self.width)

    @classmethod
    def create(cls, buffer: Any, group: int, width: int, capacity: int) -> "Segment":
        header = np.frombuffer(buffer, np.int64, HEADER_BYTES // 8)
        header[[WIDTH, CAPACITY, COUNT, RELEASED]] = width, capacity, 0, 0
        header[GROUP] = group
        return cls(buffer)

    def rows(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the steps and float32 values of rows first … last − 1."""
        slots = np.arange(first, last) % self.capacity
        return self.steps[slots], as_stored(self.values[slots])


def as_stored(values: np.ndarray) -> np.ndarray:
    """float32, as columns are kept; what lies beyond becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


class Group:
    """Series that are sampled at the same steps. `append` takes about a microsecond."""

    def __init__(self, id: int, names: tuple[str, ...], segment: Segment, waiting: "Callable[[Group], bool]") -> None:
        self.id, self.names, self.segment = id, names, segment
        self._width, self._capacity = len(names), segment.capacity
        self._write_to(segment)
        self._wait_for_room: Callable[[Group], bool] = waiting
        self.wake_at = segment.capacity // 2
        self.row = 0
        self._last_step = -(2**63)

    def append(self, step: int, values: Sequence[float] | np.ndarray) -> None:
        """One row. Steps must increase; the values come in the order of the names."""
        row = self.row
        if row >= self.wake_at and not self._wait_for_room(self):
            return
        if step <= self._last_step or len(values) != self._width:
            self._refuse(step, len(values))
        slot = row % self._capacity
        wholes = self._wholes
        wholes[_FIRST + slot] = step
        if type(values) is tuple:  # what numpy does with a tuple is ten times as slow
            floats, place = self._floats, self._first_value + slot * self._width
            for value in values:
                floats[place] = value
                place += 1
        else:
            self._values[slot] = values
        self._last_step = step
        self.row = wholes[COUNT] = row + 1

    def _write_to(self, segment: Segment) -> None:
        """Views of its memory: one item is written at once, so that a reader never sees half of it."""
        whole = memoryview(segment.buffer)
        self._wholes, self._floats = whole.cast("q"), whole.cast("d")
        self._values, self._first_value = segment.values, _FIRST + segment.capacity

    def extend(self, steps: np.ndarray, rows: np.ndarray) -> None:
        """Many rows at once: steps (n,), rows (n, len(names)). Waits for the writer where they do not all fit."""
        steps, rows = np.asarray(steps, np.int64), np.asarray(rows)
        if rows.shape != (len(steps), self._width):
            raise ValueError(f"rows of shape {rows.shape} do not fit {len(steps)} steps of {self._width} series")
        if len(steps) and (steps[0] <= self._last_step or (np.diff(steps) <= 0).any()):
            self._refuse(int(steps[0]), self._width)
        while len(steps):
            if self.row >= self.wake_at and not self._wait_for_room(self):
                return
            taken = self._put(steps, rows)
            steps, rows = steps[taken:], rows[taken:]

    def _put(self, steps: np.ndarray, rows: np.ndarray) -> int:
        slot = self.row % self._capacity
        free = int(self.segment.header[RELEASED]) + self._capacity - self.row
        taken = min(len(steps), free, self._capacity - slot)
        self.segment.steps[slot : slot + taken] = steps[:taken]
        self._values[slot : slot + taken] = rows[:taken]
        self._last_step = int(steps[taken - 1])
        self.row += taken
        self._wholes[COUNT] = self.row
        return taken

    @staticmethod
    def unkept(width: int) -> Segment:
        """A small ring in plain memory, for a group whose rows are dropped."""
        return Segment.create(bytearray(size_of(width, 64)), 0, width, 64)

    def shut(self) -> None:
        """From now on rows are dropped: the run has ended, or this is a child after a fork."""
        self.wake_at = -1
        self.segment = Group.unkept(self._width)
        self._write_to(self.segment)

    def _refuse(self, step: int, length: int) -> None:
        if length != self._width:
            raise ValueError(f"{length} values for the {self._width} series {', '.join(self.names[:3])} …")
        raise ValueError(f"step {step} of {self.names[0]} came after step {self._last_step}: steps must increase")
