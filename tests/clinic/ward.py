"""Examines patients side by side, one process and one thread each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .cases import patient_named
from .examine import Result, examine


def examined(names: list[str], folder: Path, workers: int) -> list[Result]:
    """The results in the order of the names."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    results = []
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=40) as pool:
        for result in pool.map(_examine, names, [str(folder)] * len(names)):
            results.append(result)
            if sys.stderr.isatty():
                print(f"\r{len(results)}/{len(names)} {result.name:60.60}", end="", file=sys.stderr, flush=True)
    return results


def _examine(name: str, folder: str) -> Result:
    return examine(patient_named(name), Path(folder))
