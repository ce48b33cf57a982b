"""`convdebug` and `convdebug open`: the window, a process of its own that the engine never imports."""

import os
import subprocess
import sys
from pathlib import Path

import click

from convdebug_sessions import Session

NO_DISPLAY = "no display here for the window; `convdebug demo`, `train`, `check` and `diagnose` work in the terminal"


@click.command()
@click.argument("session", type=Path)
def open_command(session: Path) -> int:
    """Open the window on a session: live if it grows, replay if it is finished."""
    Session.open(session).close()  # one clear line here rather than an empty window
    return open_window(["open", str(session)])


def display_available() -> bool:
    """Whether a window can be shown here."""
    if sys.platform in ("win32", "darwin") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_window(arguments: list[str]) -> int:
    """Start the window and wait for it; returns its exit code."""
    if not display_available():
        raise click.UsageError(NO_DISPLAY)
    return subprocess.call([sys.executable, "-m", "convdebug_gui", *arguments])
