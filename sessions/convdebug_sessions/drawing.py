"""Reduces series to what a plot can show: buckets of a curve, columns of a heat map."""

from collections.abc import Sequence

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
    cells, row0, rows = _cells(reader, [column], start, end, level, width)
    first_steps, last_steps = reader.steps_of(row0), reader.steps_of(row0 + rows - 1)
    minimum, maximum, mean, bad = cells[0].astype(np.float64)
    return Buckets(first_steps, last_steps, minimum, maximum, mean, bad.astype(np.int64))


def _width(rows: int, points: int, raw_rows: int) -> tuple[int, int]:
    """Rows of a bucket, and the coarsest level that it can be joined from."""
    width = max(1, -(-rows // max(points, 1)))
    level = 0
    while rows > raw_rows and levels.rows_per_bucket(level + 1) <= width:
        level += 1
    size = levels.rows_per_bucket(level)
    return -(-width // size) * size, level


def _cells(
    reader: GroupReader, columns: Sequence[int], start: int, end: int, level: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells (C, 4, n) of `width` rows each (the outer ones may have fewer), their first rows and their numbers of rows.

    They come from the coarsest level, and from finer ones for what is too new for it.
    """
    size = levels.rows_per_bucket(level)
    start, end = start // size * size, min(-(-end // size) * size, reader.rows)
    pieces = []
    for number in range(min(level, len(reader.level_ends) - 1), -1, -1):
        size = levels.rows_per_bucket(number)
        stop = min(end, reader.level_ends[number]) // size * size
        if start < stop:
            pieces.append(_piece(reader, columns, start, stop, number, width))
            start = stop
    if not pieces:
        return np.empty((len(columns), levels.PARTS, 0), np.float32), np.empty(0, np.int64), np.empty(0, np.int64)
    if len(pieces) == 1:
        return pieces[0]
    cells, row0, rows = (np.concatenate(parts, axis=-1) for parts in zip(*pieces, strict=True))
    return _joined(cells, row0, rows, width)


Piece = tuple[np.ndarray, np.ndarray, np.ndarray]


def _piece(reader: GroupReader, columns: Sequence[int], start: int, stop: int, number: int, width: int) -> Piece:
    """What one level gives for the rows start … stop − 1, joined to `width` rows a cell."""
    size = levels.rows_per_bucket(number)
    if number:
        row0 = np.arange(start, stop, size)
        cells = reader.cells(number, columns, start // size, stop // size)
        return _joined(cells, row0, np.full(len(row0), size), width)
    row0 = np.append(start, np.arange(start // width * width + width, stop, width))
    values = reader.values(columns, start, stop)
    return levels.from_rows(values, row0 - start), row0, np.diff(row0, append=stop)


def _joined(cells: np.ndarray, row0: np.ndarray, rows: np.ndarray, width: int) -> Piece:
    starts = np.flatnonzero(np.diff(row0 // width, prepend=-1))
    if len(starts) == len(row0):
        return cells, row0, rows
    return levels.merge(cells, rows, starts), row0[starts], np.add.reduceat(rows, starts)


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
    shape = (len(columns), len(edges) - 1)
    if not shape[1]:
        return np.zeros(shape), np.zeros(shape), np.zeros(shape)
    start, end = reader.range(int(np.ceil(edges[0])), int(np.ceil(edges[-1])) - 1)
    width, level = _width(end - start, 2 * shape[1], 0)
    cells, row0, rows = _cells(reader, columns, start, end, level, width)
    places = np.searchsorted(edges, reader.steps_of(row0), "right") - 1
    return _summed(cells, rows, np.clip(places, 0, shape[1] - 1), shape)


def _summed(
    cells: np.ndarray, rows: np.ndarray, places: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    total, good, bad = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    if len(places):
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        merged = levels.merge(cells, rows, starts).astype(np.float64)
        finite = np.add.reduceat(rows, starts) - merged[:, levels.BAD]
        total[:, places[starts]] = np.where(finite > 0, merged[:, levels.MEAN] * finite, 0.0)
        good[:, places[starts]] = finite
        bad[:, places[starts]] = merged[:, levels.BAD]
    return total, good, bad


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
