"""Questions to curves as pure functions on numpy arrays: level, noise, onset, growth through depth."""

import numpy as np


def level(values: np.ndarray) -> float:
    """The median of the finite values, NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def noise(values: np.ndarray) -> float:
    """Standard deviation of the scatter from row to row, whatever the trend (median of absolute differences)."""
    finite = values[np.isfinite(values)]
    if len(finite) < 3:
        return 0.0
    return float(np.median(np.abs(np.diff(finite)))) * 1.4826 / np.sqrt(2)


def running_median(values: np.ndarray, width: int) -> np.ndarray:
    """The median of blocks of `width` rows, `(ceil(n / width))`: a coarse curve without spikes."""
    whole = len(values) // width * width
    blocks = np.median(values[:whole].reshape(-1, width), axis=1) if whole else np.empty(0)
    rest = values[whole:]
    return np.append(blocks, np.median(rest)) if len(rest) else blocks


def block_means(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each whole block of `width` rows, `(n // width)`, without the rest."""
    whole = len(values) // width * width
    return values[:whole].reshape(-1, width).mean(axis=1)


def onset(mask: np.ndarray, share: float = 0.9, rows: int = 1) -> int | None:
    """The first row from which on at least `share` of the rows are true, up to the end, and no fewer than `rows`.

    The last row has to be true: what has ended is over.
    """
    count = len(mask)
    if count == 0 or not mask[-1]:
        return None
    true_from_here = np.cumsum(mask[::-1])[::-1]
    remaining = count - np.arange(count)
    good = mask & (true_from_here >= share * remaining) & (true_from_here >= rows)
    found = np.flatnonzero(good)
    return int(found[0]) if len(found) else None


def growth(profile: np.ndarray) -> tuple[float, float]:
    """Geometric growth a layer of a positive profile `(layers)` through depth, and how straight it is (correlation).

    Layers that are not positive and finite are left out; (1.0, 0.0) where fewer than three remain.
    """
    good = np.isfinite(profile) & (profile > 0)
    if good.sum() < 3:
        return 1.0, 0.0
    depth, height = np.flatnonzero(good).astype(float), np.log(profile[good])
    if np.ptp(height) < 1e-12:
        return 1.0, 0.0
    slope = np.polyfit(depth, height, 1)[0]
    return float(np.exp(slope)), float(np.corrcoef(depth, height)[0, 1])


def column_level(values: np.ndarray) -> np.ndarray:
    """The median of each column `(rows, columns)` over its rows that hold a number, NaN where there is none."""
    answer = np.full(values.shape[1], np.nan)
    finite = np.where(np.isfinite(values), values, np.nan)
    some = ~np.isnan(finite).all(axis=0) if len(values) else np.zeros(values.shape[1], bool)
    if some.any():
        answer[some] = np.nanmedian(finite[:, some], axis=0)
    return answer


def rounded(rate: float) -> float:
    """The nearest of 1, 2, 5 × 10^n: a rate that a person would type."""
    if not np.isfinite(rate) or rate <= 0:
        return rate
    power = 10.0 ** np.floor(np.log10(rate))
    nearest = min((1.0, 2.0, 5.0, 10.0), key=lambda digit: abs(np.log(rate / (digit * power))))
    return float(f"{nearest * power:.6g}")


def number(value: float) -> str:
    """A number as a message shows it: 2.30, 0.0012, 3.1e+06."""
    if not np.isfinite(value):
        return str(float(value))
    size = abs(value)
    if size == 0 or 0.1 <= size < 1000:
        return f"{value:.2f}" if size else "0"
    return f"{value:.2g}" if 1e-4 <= size < 0.1 else f"{value:.1e}"
