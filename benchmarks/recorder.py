"""What recording costs: the hand-over on the training thread and the work in the background, beside two plain ways.

python benchmarks/recorder.py [--steps 20000] [--series 200]
"""

import argparse
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "sessions"))

from convdebug_sessions import Recorder

PACE_S = 0.001


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=20000)
    arguments.add_argument("--series", type=int, default=200)
    chosen = arguments.parse_args()
    rows = np.random.default_rng(0).standard_normal((1000, chosen.series)).astype(np.float32)
    print(f"{chosen.series} series, {chosen.steps} steps; times in µs a step")
    print(f"{'':34}{'hand-over':>10}{'99.9 %':>10}{'longest':>10}{'all CPU':>10}{'bytes':>10}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, measure in WAYS.items():
            show(name, *measure(place, rows, chosen.steps))


def show(name: str, taken: np.ndarray, cpu_s: float, size: int) -> None:
    figures = (np.median(taken), np.quantile(taken, 0.999), taken.max(), cpu_s / len(taken))
    shown = "".join(f"{figure * 1e6:10.1f}" for figure in figures)
    print(f"{name:34}{shown}{size / len(taken):10.0f}", flush=True)


def hand_over(append: Callable[[int, np.ndarray], None], rows: np.ndarray, steps: int, pace_s: float) -> np.ndarray:
    """Seconds that each call took, at most one in `pace_s`."""
    taken = np.empty(steps)
    for step in range(steps):
        row = rows[step % len(rows)]
        begun = time.perf_counter()
        append(step, row)
        taken[step] = time.perf_counter() - begun
        if pace_s:
            time.sleep(max(0.0, pace_s - taken[step]))
    return taken


def recorder(place: Path, rows: np.ndarray, steps: int, pace_s: float = 0.0) -> tuple[np.ndarray, float, int]:
    path = place / "recorder.convdebug"
    before = time.process_time()
    with Recorder.create(path, overwrite=True) as recorder:
        run = recorder.start_run("train")
        group = run.group([f"series/{index}" for index in range(rows.shape[1])])
        taken = hand_over(group.append, rows, steps, pace_s)
        run.finish()
    return taken, time.process_time() - before, path.stat().st_size


def paced(place: Path, rows: np.ndarray, steps: int) -> tuple[np.ndarray, float, int]:
    return recorder(place, rows, min(steps, 5000), PACE_S)


def bulk(place: Path, rows: np.ndarray, steps: int) -> tuple[np.ndarray, float, int]:
    path = place / "bulk.convdebug"
    before, begun = time.process_time(), time.perf_counter()
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        group = run.group([f"series/{index}" for index in range(rows.shape[1])])
        for first in range(0, steps, len(rows)):
            count = min(len(rows), steps - first)
            group.extend(np.arange(first, first + count), rows[:count])
        run.finish()
    each = (time.perf_counter() - begun) / steps
    return np.full(steps, each), time.process_time() - before, path.stat().st_size


def json_lines(place: Path, rows: np.ndarray, steps: int) -> tuple[np.ndarray, float, int]:
    """A line a step, flushed to the system so that it survives a kill."""
    path = place / "steps.jsonl"
    before = time.process_time()
    with path.open("wb", buffering=0) as file:
        taken = hand_over(
            lambda step, row: file.write(json.dumps([step, row.tolist()]).encode() + b"\n") and None,
            rows,
            min(steps, 5000),
            0.0,
        )
    return taken, time.process_time() - before, path.stat().st_size


def sqlite_rows(place: Path, rows: np.ndarray, steps: int) -> tuple[np.ndarray, float, int]:
    """An insert and a commit a step in WAL mode: the row as one blob."""
    path = place / "steps.sqlite"
    before = time.process_time()
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t (step INTEGER, data BLOB);"
    )
    taken = hand_over(
        lambda step, row: database.execute("INSERT INTO t VALUES (?,?)", (step, row.tobytes())) and None,
        rows,
        min(steps, 5000),
        0.0,
    )
    database.close()
    return taken, time.process_time() - before, path.stat().st_size


WAYS: dict[str, Callable[[Path, np.ndarray, int], tuple[np.ndarray, float, int]]] = {
    "recorder, as fast as it goes": recorder,
    "recorder, one step a millisecond": paced,
    "recorder, in bulk": bulk,
    "JSON lines": json_lines,
    "SQLite, one insert a step": sqlite_rows,
}

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
