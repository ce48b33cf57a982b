"""Where a command records, the live rules beside it, and what it says of the session at the end."""

import datetime
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from convdebug.errors import UserError
from convdebug.interruption import Interruption
from convdebug_sessions import Recorder, Run, Session, default_folder

RULES_BEGIN_AFTER_S = 2.0
RULES_PATIENCE_S = 20
LOWEST_PRIORITY = 19


def session_file(wanted: Path | None, name: str) -> Path:
    """The file that a command records into: the user's, or a new one in the folder where sessions are kept."""
    if wanted is not None:
        return wanted
    folder = default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"{folder}: cannot be made ({problem.strerror}); name a file with --session") from problem
    moment = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    stem = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', name).strip('-')}-{moment}"
    candidates = (folder / f"{stem}{suffix}.convdebug" for suffix in ["", *(f"-{n}" for n in range(2, 100))])
    return next(path for path in candidates if not path.exists())


def open_recorder(path: Path) -> Recorder:
    """A recorder on a new file, or on an existing session to which runs are added."""
    return Recorder.append(path) if path.exists() else Recorder.create(path)


@contextmanager
def no_empty_session(path: Path) -> Iterator[None]:
    """Take a new session away again where no run began in it: bad input is answered by a line, not by a file."""
    new = not path.exists()
    try:
        yield
    finally:
        if new and path.exists() and not runs_of(path):
            path.unlink()


@contextmanager
def named_when_stopped(path: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop what records into a session; once that is complete, a line names it."""
    try:
        with Interruption(waiting=lambda: True):
            yield
    except KeyboardInterrupt:
        kept = f"session: {path}" if path.exists() else "nothing was recorded"
        click.echo(f"convdebug: stopped; {kept}", err=True)
        raise


def runs_of(path: Path) -> list[Run]:
    """The runs that a session holds; none where there is no session yet."""
    if not path.exists():
        return []
    with Session.open(path) as session:
        return session.runs


@contextmanager
def live_rules(path: Path, stop_on: str | None = None) -> Iterator[None]:
    """Run `convdebug diagnose --follow` beside the recording; it ends by itself when the writer is gone.

    It begins when the training has gone on for a while: its own start would take from the first steps, and a
    training that is shorter is judged when it ends. With `stop_on` it begins at once.
    """
    command = [sys.executable, "-m", "convdebug", "diagnose", str(path), "--follow", "--fail-on", "never"]
    command += ["--stop-on", stop_on] if stop_on else []
    started: list[subprocess.Popen[bytes]] = []
    timer = threading.Timer(0.0 if stop_on else RULES_BEGIN_AFTER_S, lambda: started.extend(_in_background(command)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for process in started:
            _wait_for(process)


def _in_background(command: list[str]) -> list[subprocess.Popen[bytes]]:
    """The process, or none where the system gives none: the training is judged at its end all the same."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    except OSError as problem:
        click.echo(f"convdebug: no live rules ({problem}); the session is judged at its end", err=True)
        return []
    if hasattr(os, "setpriority"):  # from its first instruction: all cores may be busy with the training
        with suppress(OSError):  # where that is not allowed, it runs like any other
            os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST_PRIORITY)
    return [process]


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(RULES_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        click.echo("convdebug: the live rules did not end in time; `convdebug diagnose` speaks for them", err=True)


def conclude(path: Path) -> None:
    """Diagnose every run of a finished session once more and write the opinions into it."""
    from convdebug.diagnose import diagnose_session

    with Session.open(path) as session:
        for run in session.runs:
            if run.kind in ("train", "watch", "branch"):
                session.write_diagnoses(run.id, diagnose_session(session, run.id))
