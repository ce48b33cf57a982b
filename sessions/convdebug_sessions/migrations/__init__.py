"""Steps from an older session format to the next, one function a version, applied in one transaction.

To change the format: raise `schema.VERSION`, add a file `to_2.py` with a function `apply(database)`, and one line here.
"""

import sqlite3
from collections.abc import Callable

from convdebug_sessions.errors import SessionError

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: dict[int, Migration] = {}


def migrate(
    database: sqlite3.Connection, version: int, wanted: int, migrations: dict[int, Migration] | None = None
) -> None:
    """Brings a session from `version` to `wanted`, or leaves it exactly as it was."""
    known = MIGRATIONS if migrations is None else migrations
    missing = [step for step in range(version + 1, wanted + 1) if step not in known]
    if missing:
        raise SessionError(f"session format {version} is too old: there is no way to format {missing[0]}")
    database.execute("BEGIN IMMEDIATE")
    try:
        for step in range(version + 1, wanted + 1):
            known[step](database)
        database.execute(f"PRAGMA user_version={wanted}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
