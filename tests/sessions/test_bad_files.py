"""What is not a session is answered in one clear line."""

import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from convdebug_sessions import Recorder, Session, SessionError, library


def record(path, rows=20_000):
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        run.group(["train/loss"]).extend(np.arange(rows), np.zeros((rows, 1)))
        run.blob("filters", 0, np.zeros((2, 2)))
        run.event("epoch", 0)
        run.finish()


def edit(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is text", "is not a convdebug session"),
        (b"SQLite format 3\0" + bytes(20), "is cut off"),
        (b"SQLite format 3\0" + b"x" * 5000, "is cut off|is damaged"),
    ],
)
def test_a_file_that_is_no_session_is_named_as_such(path, content, message):
    path.write_bytes(content)
    with pytest.raises(SessionError, match=message) as raised:
        Session.open(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_missing_session_is_told_with_the_nearest_name_beside_it(path, tmp_path):
    Recorder.create(tmp_path / "good.convdebug").close()
    with pytest.raises(SessionError, match=r"goood.convdebug does not exist \(nearest: good.convdebug\)$"):
        Session.open(tmp_path / "goood.convdebug")
    with pytest.raises(SessionError, match=r"elsewhere.convdebug does not exist$"):
        Session.open(tmp_path / "elsewhere.convdebug")


def test_a_missing_file_and_a_folder_are_told_apart(path, tmp_path):
    with pytest.raises(SessionError, match="does not exist"):
        Session.open(path)
    with pytest.raises(SessionError, match="is a folder"):
        Session.open(tmp_path)
    with pytest.raises(SessionError, match="is a folder"):
        Recorder.create(tmp_path)


def test_a_file_cut_in_the_middle_is_named_as_such(path):
    record(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(SessionError, match="is cut off"):
        Session.open(path)
    assert "is cut off" in library(path.parent)[0].problem


def test_another_database_and_a_newer_version_are_told_apart(path, tmp_path):
    edit(path, "CREATE TABLE t (a)")
    with pytest.raises(SessionError, match="but not a convdebug session"):
        Session.open(path)
    newer = tmp_path / "newer.convdebug"
    record(newer)
    edit(newer, "PRAGMA user_version=99")
    with pytest.raises(SessionError, match="from a newer convdebug"):
        Session.open(newer)
    with pytest.raises(SessionError, match="from a newer convdebug"):
        Recorder.append(newer)


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE events SET data='{'", lambda session: session.events()),
        ("UPDATE runs SET info='[]'", lambda session: session.runs),
        (
            "UPDATE blobs SET shape='[1000000000, 1000000000]'",
            lambda session: session.read(session.blobs("filters")[0]),
        ),
        ("UPDATE blobs SET dtype='O'", lambda session: session.read(session.blobs("filters")[0])),
        ("UPDATE blobs SET dtype='no'", lambda session: session.read(session.blobs("filters")[0])),
        ("UPDATE chunk SET data=x'00'", lambda session: session.series("train/loss")),
        ("UPDATE chunk_steps SET rows=7", lambda session: session.series("train/loss")),
        ("UPDATE tail SET data=x'00'", lambda session: session.series("train/loss")),
        ("UPDATE groups SET names='7'", lambda session: session.series_names()),
        ("DROP TABLE events", lambda session: session.events()),
    ],
)
def test_a_damaged_session_is_one_clear_line(path, statement, read):
    record(path)
    edit(path, statement)
    with pytest.raises(SessionError) as raised, Session.open(path) as session:
        read(session)
    assert "\n" not in str(raised.value)


AS_NOBODY = """
import os, sys
os.chdir("/")
from convdebug_sessions import Recorder, Session, SessionError
if os.getuid() == 0:
    os.setuid(65534)
try:
    if sys.argv[1] == "read":
        with Session.open(sys.argv[2]) as session:
            print(session.run().status, len(session.series("train/loss")[0]))
    else:
        Recorder.create(sys.argv[2])
except SessionError as error:
    print(error)
"""


@pytest.fixture
def as_nobody(tmp_path_factory):
    """Does something as a user who may only read."""
    base = tmp_path_factory.getbasetemp()
    for folder in (base, *(parent for parent in base.parents if parent.name.startswith("pytest-"))):
        folder.chmod(0o755)

    def do(what, path):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", AS_NOBODY, what, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    return do


@pytest.fixture
def locked(path):
    """The folder of the session can be read, not written."""
    yield lambda: path.parent.chmod(0o555)
    path.parent.chmod(0o755)


def test_a_finished_session_is_read_in_a_read_only_folder(path, as_nobody, locked):
    record(path)
    locked()
    assert as_nobody("read", path) == "finished 20000"
    assert os.listdir(path.parent) == [path.name]


def test_a_killed_session_is_read_in_a_read_only_folder(path, start_child, as_nobody, locked):
    child = start_child(path)
    said = child.kill()
    locked()
    for file in path.parent.glob("*convdebug*"):
        file.chmod(0o444)
    status, steps = as_nobody("read", path).split()
    assert status == "killed"
    assert int(steps) >= said + 1
    path.parent.chmod(0o755)
    path.with_name(f"{path.name}-shm").unlink()
    locked()
    assert as_nobody("read", path) == f"killed {steps}"


def test_permission_is_named_in_one_line(path, as_nobody, locked):
    record(path)
    path.chmod(0o000)
    assert as_nobody("read", path) == f"no permission for {path}"
    locked()
    assert as_nobody("write", path.with_name("new.convdebug")).startswith("no permission for")
