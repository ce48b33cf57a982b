"""The level pyramid: buckets of 64 rows, then of 8 buckets each, with extremes, mean and count of non-finite values."""

import numpy as np

CHUNK_ROWS = 4096
FIRST_FACTOR = 64
FACTOR = 8
CHUNK_BUCKETS = 512
PARTS = 4
MINIMUM, MAXIMUM, MEAN, BAD = range(PARTS)


def rows_per_bucket(level: int) -> int:
    """1 for the raw rows (level 0), then 64, 512, 4096, …"""
    return 1 if level == 0 else FIRST_FACTOR * FACTOR ** (level - 1)


def chunk_length(level: int) -> int:
    """How many buckets (rows at level 0) a full chunk of a level holds."""
    return CHUNK_ROWS if level == 0 else CHUNK_BUCKETS


def from_rows(values: np.ndarray, rows: int = FIRST_FACTOR) -> np.ndarray:
    """Columns (C, n·rows) of raw values -> cells (C, 4, n): minimum, maximum, mean of the finite ones, bad count."""
    blocks = values.reshape(len(values), -1, rows)
    cells = np.empty((len(values), PARTS, blocks.shape[1]), np.float32)
    finite = np.isfinite(blocks)
    if finite.all():
        cells[:, MINIMUM] = blocks.min(axis=2)
        cells[:, MAXIMUM] = blocks.max(axis=2)
        cells[:, MEAN] = blocks.mean(axis=2, dtype=np.float64)
        cells[:, BAD] = 0
    else:
        _reduce_with_gaps(cells, blocks, finite)
    return cells


def _reduce_with_gaps(cells: np.ndarray, blocks: np.ndarray, finite: np.ndarray) -> None:
    good = finite.sum(axis=2)
    empty = good == 0
    total = np.where(finite, blocks, 0.0).sum(axis=2, dtype=np.float64)
    cells[:, MINIMUM] = np.where(empty, np.nan, np.where(finite, blocks, np.inf).min(axis=2))
    cells[:, MAXIMUM] = np.where(empty, np.nan, np.where(finite, blocks, -np.inf).max(axis=2))
    cells[:, MEAN] = np.where(empty, np.nan, total / np.maximum(good, 1))
    cells[:, BAD] = blocks.shape[2] - good


def from_cells(cells: np.ndarray, rows: int, factor: int = FACTOR) -> np.ndarray:
    """Cells (C, 4, n·factor), each over `rows` rows -> cells (C, 4, n) of the next level."""
    starts = np.arange(0, cells.shape[2], factor)
    return merge(cells, np.full(cells.shape[2], rows), starts)


def merge(cells: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Cells (C, 4, m) over `rows` (m,) rows each, joined from each of `starts` on -> (C, 4, len(starts))."""
    joined = np.empty((len(cells), PARTS, len(starts)), np.float32)
    good = rows - cells[:, BAD].astype(np.float64)
    weighted = np.where(good > 0, cells[:, MEAN] * good, 0.0)
    totals = np.add.reduceat(good, starts, axis=1)
    joined[:, MINIMUM] = np.fmin.reduceat(cells[:, MINIMUM], starts, axis=1)
    joined[:, MAXIMUM] = np.fmax.reduceat(cells[:, MAXIMUM], starts, axis=1)
    sums = np.add.reduceat(weighted, starts, axis=1)
    joined[:, MEAN] = np.where(totals > 0, sums / np.maximum(totals, 1), np.nan)
    joined[:, BAD] = np.add.reduceat(cells[:, BAD].astype(np.float64), starts, axis=1)
    return joined


def raw_cells(values: np.ndarray) -> np.ndarray:
    """Raw columns (C, n) as cells of one row each (C, 4, n)."""
    finite = np.isfinite(values)
    kept = np.where(finite, values, np.nan).astype(np.float32)
    return np.stack([kept, kept, kept, (~finite).astype(np.float32)], axis=1)
