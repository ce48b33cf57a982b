"""Opinions and wishes: what others than the recorder write into a session, in short transactions."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .errors import SessionError
from .facts import Diagnosis, Wish
from .numbers import dump, load
from .schema import connect

Answer = TypeVar("Answer")


def write(path: Path, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
    """A short transaction on a connection of its own."""
    try:
        database = connect(path)
        try:
            database.execute("BEGIN IMMEDIATE")
            answer = work(database)
            database.execute("COMMIT")
        finally:
            database.close()
    except sqlite3.Error as error:
        raise SessionError(f"{path} cannot be written: {error}") from error
    return answer


def replace_diagnoses(path: Path, run: int, diagnoses: Sequence[Diagnosis]) -> None:
    """The diagnoses of a run become these."""
    rows = [(run, position, dump(each.as_json())) for position, each in enumerate(diagnoses)]

    def work(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM diagnoses WHERE run=?", (run,))
        database.executemany("INSERT INTO diagnoses VALUES (?,?,?)", rows)

    write(path, work)


def add_wish(path: Path, what: str, value: Any, run: int | None) -> int:
    """Writes a wish down; gives its number."""
    row = (time.time(), run, what, dump(value))
    statement = "INSERT INTO wishes (made, run, what, value) VALUES (?,?,?,?)"
    return write(path, lambda database: database.execute(statement, row).lastrowid or 0)


def read_wishes(query: Callable[[str], Iterable[tuple]], pending_only: bool = False) -> list[Wish]:
    """The wishes in the order in which they were made."""
    where = "WHERE applied_step IS NULL" if pending_only else ""
    rows = query(f"SELECT id, made, run, what, value, applied_step FROM wishes {where} ORDER BY id")
    return [
        Wish(id, made, run, str(what), load(value, object, "a wish"), applied)
        for id, made, run, what, value, applied in list(rows)
    ]
