"""Takes up a session whose writer was killed: the rows of its side file go into the database."""

import os
import sqlite3
from pathlib import Path

from . import schema
from .errors import SessionError
from .group_store import GroupStore
from .liveness import lock
from .numbers import load
from .side_file import SideReader


def recover(path: Path) -> None:
    """Makes a finished or killed session ready for the next writer; SessionError while one is alive."""
    schema.check_header(path)
    schema.check_size(path)
    try:
        database = schema.connect(path)
        try:
            if schema.check_version(database, path) < schema.VERSION:
                schema.bring_up_to_date(path)
            _recover(database, path)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise SessionError(f"{path} cannot be written: {error}") from error


def _recover(database: sqlite3.Connection, path: Path) -> None:
    side = open_side(path)
    database.execute("BEGIN IMMEDIATE")
    if side is not None:
        try:
            _take(side, database, path)
        finally:
            side.close()
    database.execute("UPDATE runs SET status='killed' WHERE status='running'")
    database.execute("COMMIT")
    schema.beside(path, "live").unlink(missing_ok=True)


def open_side(path: Path) -> SideReader | None:
    """The side file of a session, where there is one."""
    try:
        return SideReader(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SessionError(schema.reason_of(error, schema.beside(path, "live"))) from error


def refuse_a_living_writer(path: Path) -> None:
    """SessionError while somebody records into this session."""
    side = open_side(path)
    if side is not None:
        alive = side.alive
        side.close()
        if alive:
            raise SessionError(f"{path} is being recorded by process {side.writer.get('pid')}")


def _take(side: SideReader, database: sqlite3.Connection, path: Path) -> None:
    if side.alive:
        raise SessionError(f"{path} is being recorded by process {side.writer.get('pid')}")
    held = os.open(schema.beside(path, "live"), os.O_RDWR | os.O_CLOEXEC)
    try:
        if not lock(held):
            raise SessionError(f"{path} is being taken up by another process")
        token = database.execute("SELECT token FROM writer").fetchone()
        if token and token[0] == side.token:
            for group, count in side.counts().items():
                _take_group(side, database, group, count)
    finally:
        os.close(held)


def _take_group(side: SideReader, database: sqlite3.Connection, group: int, count: int) -> None:
    found = database.execute("SELECT run, names FROM groups WHERE id=?", (group,)).fetchone()
    if found is None:
        return
    names = load(found[1], list, "the names of a group")
    store = GroupStore.load(database, group, len(names))
    newer = side.rows(group, store.rows, count)
    if newer is None or newer[0] != store.rows or not len(newer[1]) or newer[2].shape[1] != len(names):
        return
    store.append(database, newer[1], newer[2])
    steps = "steps=?" if "train/loss" in names else "steps=max(steps, ?)"
    database.execute(f"UPDATE runs SET {steps} WHERE id=?", (store.last_step + 1, found[0]))
