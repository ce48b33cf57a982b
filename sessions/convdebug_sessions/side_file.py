"""The side file of a live session: rings of rows that survive a killed writer, and who the writer is.

A page of identity comes first, then one ring a group, each beginning at a page. The writer maps the rings into memory;
readers use plain reads, which need no write permission and meet no fault where a file was cut.
"""

import json
import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import SessionError
from .liveness import identity, is_alive, lock
from .schema import beside
from .segment import (
    CAPACITY,
    COUNT,
    GROUP,
    HEADER_BYTES,
    RELEASED,
    SIZE,
    WIDTH,
    Segment,
    as_stored,
    capacity_for,
    size_of,
)

MAGIC = b"convdebug live 1\n"
PAGE = mmap.ALLOCATIONGRANULARITY
STATE_AT = PAGE - 8
OPEN, CLOSING = 0, 1


class SideFile:
    """The writer's end. Holding it open holds the lock that says: alive."""

    def __init__(self, path: Path, token: str) -> None:
        self.path = beside(path, "live")
        self._free: list[Segment] = []
        self._guard = threading.Lock()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            self._begin(token)
        except BaseException:
            self.remove()
            raise

    def _begin(self, token: str) -> None:
        if not lock(self._descriptor):
            raise SessionError(f"{self.path} is held by another process")
        _reserve(self._descriptor, 0, PAGE)
        who = json.dumps({"token": token, **identity(self._descriptor)}).encode()
        os.pwrite(self._descriptor, MAGIC + who + b"\n", 0)
        self._end = PAGE

    def segment(self, group: int, width: int) -> Segment:
        """A ring for a group: one that was given back, or a new one at the end of the file."""
        capacity = capacity_for(width)
        with self._guard:
            fitting = [free for free in self._free if free.header[SIZE] >= size_of(width, capacity)]
            if fitting:
                free = min(fitting, key=lambda each: int(each.header[SIZE]))
                self._free.remove(free)
                return Segment.create(free.buffer, group, width, capacity)
            return self._new_segment(group, width, capacity)

    def _new_segment(self, group: int, width: int, capacity: int) -> Segment:
        size = -(-size_of(width, capacity) // PAGE) * PAGE
        _reserve(self._descriptor, self._end, size)
        buffer = mmap.mmap(self._descriptor, size, offset=self._end)
        self._end += size
        np.frombuffer(buffer, np.int64, HEADER_BYTES // 8)[SIZE] = size
        return Segment.create(buffer, group, width, capacity)

    def give_back(self, segment: Segment) -> None:
        """All rows of the ring are in the database: another group may have it."""
        segment.header[GROUP] = 0
        with self._guard:
            self._free.append(segment)

    def say_closing(self) -> None:
        """Asks readers to let go of the database, so that it can become one single file."""
        os.pwrite(self._descriptor, CLOSING.to_bytes(8, "little"), STATE_AT)

    def remove(self) -> None:
        """Takes the file away and lets go of the lock."""
        self.path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Closes the file and leaves it where it is: in a child after a fork, and where rows could not be saved."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._free.clear()


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Takes the room on the disk now: a full disk under a mapping would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
    else:
        os.pwrite(descriptor, bytes(size), start)


class SideReader:
    """The reader's end of a live or a left side file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(beside(path, "live"), os.O_RDONLY | os.O_CLOEXEC)
        self.writer = self._read_identity()
        self._offsets: dict[int, int] = {}

    def _read_identity(self) -> dict[str, Any]:
        head = os.pread(self._descriptor, STATE_AT, 0)
        if not head.startswith(MAGIC):
            return {}
        try:
            who = json.loads(head[len(MAGIC) :].partition(b"\n")[0])
        except (ValueError, RecursionError):
            return {}
        return who if isinstance(who, dict) else {}

    @property
    def token(self) -> object:
        return self.writer.get("token")

    @property
    def alive(self) -> bool:
        return is_alive(self._descriptor, self.writer)

    @property
    def closing(self) -> bool:
        return os.pread(self._descriptor, 8, STATE_AT) == CLOSING.to_bytes(8, "little")

    def still_at(self, path: Path) -> bool:
        """False once the file was taken away or replaced."""
        try:
            now, mine = os.stat(beside(path, "live")), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)

    def counts(self) -> dict[int, int]:
        """How many rows each group has, and where its ring lies is remembered."""
        self._offsets = {int(header[GROUP]): offset for offset, header in self._walk() if header[GROUP]}
        return {group: int(self._header(offset)[COUNT]) for group, offset in self._offsets.items()}

    def _walk(self) -> Iterator[tuple[int, np.ndarray]]:
        offset, end = PAGE, os.fstat(self._descriptor).st_size
        while offset + HEADER_BYTES <= end:
            header = self._header(offset)
            if not 0 < header[SIZE] <= end - offset:
                return
            if header[GROUP] and not _plausible(header):
                return
            yield offset, header
            offset += int(header[SIZE])

    def _header(self, offset: int) -> np.ndarray:
        return np.frombuffer(os.pread(self._descriptor, HEADER_BYTES, offset), np.int64)

    def rows(self, group: int, first: int, last: int) -> tuple[int, np.ndarray, np.ndarray] | None:
        """First row, steps and values of rows first … last − 1, as far as they were not overwritten meanwhile."""
        offset = self._offsets.get(group)
        if offset is None:
            return None
        header = self._header(offset)
        if header[GROUP] != group or not _plausible(header):
            return None
        first = max(first, _oldest(header))
        steps, values = self._copy(offset, header, first, max(first, last))
        after = self._header(offset)
        if after[GROUP] != group:
            return None
        lost = max(0, _oldest(after) - first)
        return first + lost, steps[lost:], values[lost:]

    def _copy(self, offset: int, header: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        width, capacity = int(header[WIDTH]), int(header[CAPACITY])
        steps_at, values_at = offset + HEADER_BYTES, offset + HEADER_BYTES + 8 * capacity
        steps, values = bytearray(), bytearray()
        for slot, count in _stretches(first, last, capacity):
            steps += os.pread(self._descriptor, 8 * count, steps_at + 8 * slot)
            values += os.pread(self._descriptor, 8 * width * count, values_at + 8 * width * slot)
        return np.frombuffer(steps, np.int64), as_stored(np.frombuffer(values).reshape(-1, width))

    def close(self) -> None:
        os.close(self._descriptor)


def _plausible(header: np.ndarray) -> bool:
    width, capacity, size = int(header[WIDTH]), int(header[CAPACITY]), int(header[SIZE])
    return 0 < width < 1 << 20 and 0 < capacity <= 1 << 16 and size_of(width, capacity) <= size and header[COUNT] >= 0


def _oldest(header: np.ndarray) -> int:
    """The first row that is surely whole: rows are overwritten only once they were released."""
    return max(0, min(int(header[RELEASED]), int(header[COUNT] - header[CAPACITY]) + 1))


def _stretches(first: int, last: int, capacity: int) -> Iterator[tuple[int, int]]:
    """Slots and lengths of the one or two stretches in which rows first … last − 1 lie."""
    while first < last:
        slot = first % capacity
        count = min(last - first, capacity - slot)
        yield slot, count
        first += count
