"""The tables of a session, and how its SQLite file is made, opened and checked."""

import difflib
import errno
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from .errors import SessionError
from .migrations import migrate

APPLICATION_ID = 0x43764462
VERSION = 1
BUSY_TIMEOUT_S = 5.0
VFS: dict[str, str] = {}

TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, parent INTEGER, parent_step INTEGER, kind TEXT NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT, started REAL NOT NULL, ended REAL, steps INTEGER NOT NULL DEFAULT 0,
    config TEXT, info TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, step INTEGER, time REAL NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL);
CREATE INDEX events_of_run ON events (run, kind);
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind TEXT NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL,
    names TEXT NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL, meta TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX blobs_of_run ON blobs (run, kind, step);
CREATE TABLE diagnoses (
    run INTEGER NOT NULL, position INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run, position)) WITHOUT ROWID;
CREATE TABLE wishes (
    id INTEGER PRIMARY KEY, made REAL NOT NULL, run INTEGER, what TEXT NOT NULL, value TEXT NOT NULL,
    applied_step INTEGER);
CREATE TABLE groups (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, names TEXT NOT NULL);
CREATE TABLE tail (
    grp INTEGER NOT NULL, level INTEGER NOT NULL, row0 INTEGER NOT NULL, rows INTEGER NOT NULL, steps BLOB NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (grp, level, row0)) WITHOUT ROWID;
CREATE TABLE chunk_steps (
    grp INTEGER NOT NULL, level INTEGER NOT NULL, row0 INTEGER NOT NULL, rows INTEGER NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, steps BLOB, PRIMARY KEY (grp, level, row0)) WITHOUT ROWID;
CREATE TABLE chunk (
    grp INTEGER NOT NULL, level INTEGER NOT NULL, row0 INTEGER NOT NULL, col INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (grp, level, row0, col)) WITHOUT ROWID;
CREATE TABLE writer (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL);
"""


def connect(
    path: Path, mode: str = "rw", timeout_s: float = BUSY_TIMEOUT_S, options: Mapping[str, str] = MappingProxyType({})
) -> sqlite3.Connection:
    """A connection without Python's implicit transactions. `mode` is ro, rw or rwc; options go into the SQLite URI."""
    query = "&".join(f"{key}={value}" for key, value in {"mode": mode, **VFS, **options}.items())
    uri = f"file:{quote(os.fsencode(path.absolute()))}?{query}"
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def create_session(path: Path) -> None:
    """Makes an empty file a new, empty session; the page size must be set before anything is written."""
    try:
        database = connect(path)
        try:
            database.executescript(
                f"PRAGMA page_size=4096; BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};"
                f"{TABLES} COMMIT;"
            )
        finally:
            database.close()
    except sqlite3.Error as error:
        raise SessionError(f"{path} cannot be written: {error}") from error


def check_header(path: Path) -> None:
    """What can be said about a file before SQLite sees it, each case in its own clear line."""
    try:
        if path.is_dir():
            raise SessionError(f"{path} is a folder, a session is a file")
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise SessionError(reason_of(error, path)) from error
    if not header:
        raise SessionError(f"{path} is empty: nothing was ever recorded in it")
    if not header.startswith(b"SQLite format 3\0"[: len(header)]):
        raise SessionError(f"{path} is not a convdebug session")
    if len(header) < 100:
        raise SessionError(f"{path} is cut off after {len(header)} bytes")


def check_size(path: Path) -> None:
    """Raises where the file is shorter than it says; while there is a WAL, its word counts instead."""
    if beside(path, "wal").exists():
        return
    with path.open("rb") as file:
        header = file.read(100)
        size = os.fstat(file.fileno()).st_size
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    wanted = pages * (65536 if page == 1 else page)
    if header[24:28] == header[92:96] and size < wanted:
        raise SessionError(f"{path} is cut off: {size} of {wanted} bytes are there")


def check_version(database: sqlite3.Connection, path: Path) -> int:
    """The format of a session; raises unless it is one, and not from a newer version."""
    application = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise SessionError(f"{path} is an SQLite file, but not a convdebug session")
    if version > VERSION:
        raise SessionError(f"{path} is from a newer convdebug (format {version}, this one reads up to {VERSION})")
    return int(version)


def bring_up_to_date(path: Path) -> None:
    """Migrates a session of an older format, which needs permission to write."""
    try:
        database = connect(path)
        try:
            migrate(database, check_version(database, path), VERSION)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise SessionError(f"{path} has an older format and cannot be brought up to date: {error}") from error


def absent(path: Path) -> str:
    """Words for a session that is not there, with the one beside it whose name is nearest."""
    beside = {each.stem: each.name for each in sorted(path.parent.glob("*.convdebug"))}
    close = difflib.get_close_matches(path.stem, beside, n=1)
    return f"{path} does not exist" + (f" (nearest: {beside[close[0]]})" if close else "")


def reason_of(error: OSError, path: Path) -> str:
    """An operating system's error on a path as one line for the user."""
    if error.errno == errno.ENOENT:
        return absent(path)
    if error.errno == errno.ENOTDIR:
        return f"{path.parent} is no folder"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission for {path}"
    if error.errno == errno.EROFS:
        return f"{path.parent} is read-only"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {path.parent} is full"
    return f"{path}: {os.strerror(error.errno) if error.errno else error}"


def beside(path: Path, ending: str) -> Path:
    """A file that stands beside a session: beside(path, "live") is run.convdebug-live."""
    return path.with_name(f"{path.name}-{ending}")
