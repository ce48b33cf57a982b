"""Where sessions are kept and which were opened lately."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from PyQt6.QtCore import QSettings

from convdebug_sessions import default_folder

RECENT_KEPT = 24
SUFFIX = ".convdebug"


def sessions_folder() -> Path:
    """The folder for new sessions; it is made where it is missing and can be made."""
    folder = default_folder()
    with contextlib.suppress(OSError):  # reading needs none, and a run into it says in one line what is wrong
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_session(stem: str, folder: Path | None = None) -> Path:
    """A path for a new session that no file has yet, named after what is trained and the hour."""
    folder = folder if folder is not None else sessions_folder()
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in stem).strip("-.") or "run"
    base = f"{plain}-{time.strftime('%m%d-%H%M%S')}"
    path, count = folder / f"{base}{SUFFIX}", 2
    while path.exists():
        path, count = folder / f"{base}-{count}{SUFFIX}", count + 1
    return path


def recent(settings: QSettings) -> list[Path]:
    """The sessions opened lately, the last first; those that are gone are left out."""
    stored = settings.value("recent", [])
    paths = [stored] if isinstance(stored, str) else list(stored or [])
    return [path for path in map(Path, paths) if path.is_file()]


def remember(settings: QSettings, path: Path) -> None:
    """Put a session at the head of the recent ones."""
    path = path.absolute()
    paths = [path, *(other for other in recent(settings) if other != path)]
    settings.setValue("recent", [str(other) for other in paths[:RECENT_KEPT]])
