"""Series of a session as one tidy CSV file: run, step, series, value."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from convdebug_sessions import Session

_ROWS_AT_ONCE = 100_000


def write(session: Session, run: int | None, path: str | Path) -> Path:
    """Write every raw value of one run (None: of all runs), a line each; `nan`, `inf` and `-inf` where not finite.

    The file appears whole or not at all. OSError where it cannot be written.
    """
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    runs = [entry.id for entry in session.runs] if run is None else [session.run(run).id]
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write("run,step,series,value\n")
            for one in runs:
                _write_run(session, one, file)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _write_run(session: Session, run: int, file: TextIO) -> None:
    for name in session.series_names(run):
        steps, values = session.series(name, run)
        for text in _lines(run, _quoted(name), steps, values):
            file.write(text)


def _lines(run: int, name: str, steps: np.ndarray, values: np.ndarray) -> Iterator[str]:
    for start in range(0, len(steps), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        texts = values[some].astype(np.float32).astype(str)  # the shortest text that reads back the same
        yield "".join(f"{run},{step},{name},{text}\n" for step, text in zip(steps[some].tolist(), texts, strict=True))


def _quoted(name: str) -> str:
    if any(character in name for character in ',"\n\r'):
        return '"' + name.replace('"', '""') + '"'
    return name
