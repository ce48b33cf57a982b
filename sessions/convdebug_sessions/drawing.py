"""Reduces series to what a plot can show: buckets of a curve, columns of a heat map."""

from collections.abc import Iterator, Sequence

import numpy as np

from . import levels
from .facts import Buckets
from .group_reader import GroupReader

RAW_ROWS = 128 * 1024


def buckets_of(reader: GroupReader, column: int, start: int, end: int, points: int) -> Buckets:
    """At most `points` + 1 buckets over the rows start … end − 1.

    A bucket begins at a multiple of its width, so that a growing curve keeps its buckets; where the width exceeds a
    level's, the first and the last may reach a little beyond the range.
    """
    width, level = _width(end - start, points, RAW_ROWS)
    pieces = list(_pieces(reader, [column], start, end, level))
    cells = np.concatenate([cells for cells, _, _ in pieces], axis=2)
    row0 = np.concatenate([rows for _, rows, _ in pieces])
    rows = np.concatenate([np.full(len(rows), per) for _, rows, per in pieces])
    if not len(row0):
        steps, values = np.empty(0, np.int64), np.empty(0)
        return Buckets(steps, steps, values, values, values, steps)
    starts = np.flatnonzero(np.diff(row0 // width, prepend=-1))
    merged = levels.merge(cells, rows, starts)[0]
    lasts = np.append(row0[starts[1:]], row0[-1] + rows[-1]) - 1
    first_steps, last_steps = reader.steps_of(row0[starts]), reader.steps_of(lasts)
    minimum, maximum, mean, bad = merged.astype(np.float64)
    return Buckets(first_steps, last_steps, minimum, maximum, mean, bad.astype(np.int64))


def _width(rows: int, points: int, raw_rows: int) -> tuple[int, int]:
    """Rows of a bucket, and the coarsest level that it can be joined from."""
    width = max(1, -(-rows // max(points, 1)))
    level = 0
    while rows > raw_rows and levels.rows_per_bucket(level + 1) <= width:
        level += 1
    size = levels.rows_per_bucket(level)
    return -(-width // size) * size, level


Piece = tuple[np.ndarray, np.ndarray, int]


def _pieces(reader: GroupReader, columns: Sequence[int], start: int, end: int, level: int) -> Iterator[Piece]:
    """The range from the coarsest level on, then finer ones for what is too new: cells, first rows, rows a cell."""
    covered = reader.level_ends
    for number in range(min(level, len(covered) - 1), -1, -1):
        size = levels.rows_per_bucket(number)
        stop = min(-(-end // size), covered[number] // size)
        begin = start // size
        if begin < stop or number == 0:
            stop = max(begin, stop)
            yield reader.cells(number, columns, begin, stop), np.arange(begin, stop) * size, size
            start = max(start, stop * size)


def heat_edges(readers: Sequence[GroupReader], first: int | None, last: int | None, columns: int) -> np.ndarray:
    """Evenly spaced edges in steps; fewer columns where no group has as many rows."""
    ranges = [(reader, *reader.range(first, last)) for reader in readers]
    filled = [(reader, start, end) for reader, start, end in ranges if end > start]
    if not filled:
        return np.zeros(1)
    begin = min(int(reader.steps(start, start + 1)[0]) for reader, start, _ in filled)
    finish = max(int(reader.steps(end - 1, end)[0]) for reader, _, end in filled) + 1
    rows = max(end - start for _, start, end in filled)
    return np.linspace(begin, finish, min(columns, rows) + 1)


def heat_of(
    reader: GroupReader, columns: Sequence[int], edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of the finite values, their counts, and the counts of the others, (len(columns), len(edges) − 1) each."""
    sums = tuple(np.zeros((len(columns), max(len(edges) - 1, 0))) for _ in range(3))
    if len(edges) > 1:
        start, end = reader.range(int(np.ceil(edges[0])), int(np.ceil(edges[-1])) - 1)
        _, level = _width(end - start, 2 * (len(edges) - 1), 0)
        for cells, row0, size in _pieces(reader, columns, start, end, level):
            if len(row0):
                _add_heat(cells, np.searchsorted(edges, reader.steps_of(row0), "right") - 1, size, *sums)
    return sums[0], sums[1], sums[2]


def _add_heat(
    cells: np.ndarray, places: np.ndarray, size: int, total: np.ndarray, good: np.ndarray, bad: np.ndarray
) -> None:
    places = np.clip(places, 0, total.shape[1] - 1)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    merged = levels.merge(cells, np.full(len(places), size), starts).astype(np.float64)
    rows = np.diff(np.append(starts, len(places))) * size
    finite = rows - merged[:, levels.BAD]
    total[:, places[starts]] += np.where(finite > 0, merged[:, levels.MEAN] * finite, 0.0)
    good[:, places[starts]] += finite
    bad[:, places[starts]] += merged[:, levels.BAD]


def held(mean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Columns between two samples of a series (not `seen`) take the value of the sample before."""
    if not mean.size:
        return mean
    places = np.where(seen, np.arange(mean.shape[1]), -1)
    before = np.maximum.accumulate(places, axis=1)
    last = places.max(axis=1, keepdims=True)
    inside = (before >= 0) & (np.arange(mean.shape[1]) <= last)
    kept = np.take_along_axis(mean, np.maximum(before, 0), axis=1)
    return np.where(inside, kept, np.nan)
