"""Examines patients side by side, one process and one thread each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .cases import patient_named
from .examine import Result, examine

MOST_PER_PROCESS = 40  # torch keeps memory; fresh processes give it back


def examined(names: list[str], folder: Path, workers: int) -> list[Result]:
    """The results in the order of the names."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    results: list[Result] = []
    for first in range(0, len(names), workers * MOST_PER_PROCESS):
        part = names[first : first + workers * MOST_PER_PROCESS]
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for result in pool.map(_examine, part, [str(folder)] * len(part)):
                results.append(result)
                print(f"{len(results)}/{len(names)} {result.name}", file=sys.stderr, flush=True)
    return results


def _examine(name: str, folder: str) -> Result:
    return examine(patient_named(name), Path(folder))
