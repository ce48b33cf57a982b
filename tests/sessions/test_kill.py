"""A writer that is killed loses no step that it had taken."""

import os
import random
import shutil
import time

import numpy as np
import pytest

from convdebug_sessions import Recorder, Session, SessionError


def assert_whole(session, said):
    """Every said step is there, and each row has the values that belong to its step."""
    assert session.run().steps >= said + 1
    for name, factor in (("train/loss", 0.5), ("gradient/7/norm", 1.0)):
        steps, values = session.series(name)
        assert np.array_equal(steps, np.arange(len(steps)))
        assert len(steps) >= said + 1
        assert np.array_equal(values, (steps * factor).astype(np.float32))


@pytest.mark.parametrize("turn", range(10))
def test_a_killed_writer_loses_no_step(path, start_child, turn):
    child = start_child(path)
    time.sleep(random.Random(turn).uniform(0.0, 0.6))
    said = child.kill()
    with Session.open(path) as session:
        assert not session.live
        assert session.run().status == "killed"
        assert_whole(session, said)


def test_a_killed_session_is_taken_up_into_the_database(path, start_child):
    child = start_child(path)
    time.sleep(0.3)
    said = child.kill()
    with Session.open(path) as session:
        before = session.run().steps
    with Recorder.append(path) as recorder:
        recorder.start_run("check", "initial-loss").finish()
    assert os.listdir(path.parent) == [path.name]
    with Session.open(path) as session:
        assert [run.status for run in session.runs] == ["killed", "finished"]
        assert session.run().steps == before
        assert_whole(session, said)


def test_a_living_writer_is_told_from_a_dead_one(path, start_child, tmp_path):
    child = start_child(path)
    with Session.open(path) as session:
        assert session.live
        assert session.run().status == "running"
        with pytest.raises(SessionError, match="is being recorded by process"):
            Recorder.append(path)
        with pytest.raises(SessionError, match="is being recorded by process"):
            Recorder.create(path, overwrite=True)
        child.kill()
        assert session.refresh()
        assert not session.live
        assert session.run().status == "killed"


def test_the_copy_of_a_live_session_has_no_living_writer(path, start_child, tmp_path):
    start_child(path)
    time.sleep(0.2)
    copies = tmp_path / "copies"
    copies.mkdir()
    for file in path.parent.glob("run.convdebug*"):
        shutil.copy(file, copies / file.name)
    with Session.open(copies / path.name) as session:
        assert session.run().status == "killed"
    with Session.open(path) as session:
        assert session.run().status == "running"
