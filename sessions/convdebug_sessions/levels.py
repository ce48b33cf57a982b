"""The level pyramid: buckets of 64 rows, then of 8 buckets each, with extremes, mean and count of non-finite values."""

import numpy as np

CHUNK_ROWS = 4096
FIRST_FACTOR = 64
FACTOR = 8
CHUNK_BUCKETS = 384  # 4608 bytes without counts: one page of 4096 and what a row keeps in its own
PARTS = 4
MINIMUM, MAXIMUM, MEAN, BAD = range(PARTS)


def rows_per_bucket(level: int) -> int:
    """1 for the raw rows (level 0), then 64, 512, 4096, …"""
    return 1 if level == 0 else FIRST_FACTOR * FACTOR ** (level - 1)


def chunk_length(level: int) -> int:
    """How many buckets (rows at level 0) a full chunk of a level holds."""
    return CHUNK_ROWS if level == 0 else CHUNK_BUCKETS


def from_rows(values: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
    """Columns (C, n) of raw values -> cells (C, 4, len(starts)): each from one start (every 64th row) to the next."""
    if starts is None:
        starts = np.arange(0, values.shape[1], FIRST_FACTOR)
    cells = np.empty((len(values), PARTS, len(starts)), np.float32)
    finite = np.isfinite(values)
    if finite.all():
        cells[:, MINIMUM] = np.minimum.reduceat(values, starts, axis=1)
        cells[:, MAXIMUM] = np.maximum.reduceat(values, starts, axis=1)
        sums = np.add.reduceat(values, starts, axis=1, dtype=np.float64)
        cells[:, MEAN] = sums / np.diff(starts, append=values.shape[1])
        cells[:, BAD] = 0
    else:
        _reduce_with_gaps(cells, values, finite, starts)
    return cells


def _reduce_with_gaps(cells: np.ndarray, values: np.ndarray, finite: np.ndarray, starts: np.ndarray) -> None:
    good = np.add.reduceat(finite, starts, axis=1, dtype=np.int64)
    kept = np.where(finite, values, np.float32(np.nan))
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=1, dtype=np.float64)
    cells[:, MINIMUM] = np.fmin.reduceat(kept, starts, axis=1)
    cells[:, MAXIMUM] = np.fmax.reduceat(kept, starts, axis=1)
    cells[:, MEAN] = np.where(good > 0, sums / np.maximum(good, 1), np.nan)
    cells[:, BAD] = np.diff(starts, append=values.shape[1]) - good


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
