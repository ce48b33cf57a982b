"""Full disks, forks, slow file systems, other processes: the training goes on and the session stays whole."""

import os
import threading

import numpy as np
import pytest

from convdebug_sessions import Diagnosis, Playhead, Recorder, Session, SessionError, library, schema
from convdebug_sessions.migrations import migrate


def fill_the_disk(recorder):
    """From now on the database may not grow."""
    recorder._writer.ask(lambda database: database.execute("PRAGMA max_page_count=1").fetchone())


def test_a_full_disk_stops_the_recording_and_never_the_training(path, capfd):
    recorder = Recorder.create(path)
    run = recorder.start_run("train")
    group = run.group([f"series/{index}" for index in range(50)])
    group.append(0, np.zeros(50))
    run.flush()
    fill_the_disk(recorder)
    for step in range(1, 20_000):
        group.append(step, np.zeros(50))
        if step % 1000 == 0:
            run.event("epoch", step, text="x" * 5000)
    run.blob("filters", 3, np.zeros(100_000))
    run.group(["another"]).append(0, [1.0])
    run.finish()
    assert "full" in recorder.problem
    recorder.close()
    assert capfd.readouterr().err.count("convdebug: recording to") == 1
    with Session.open(path) as session:
        assert session.value("series/3", 5) is not None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_after_a_fork_leaves_the_recording_alone(path):
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        group = run.group(["train/loss"])
        group.append(0, [1.0])
        child = os.fork()
        if not child:
            group.append(1, [99.0])
            run.event("epoch", 1)
            run.finish()
            recorder.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        group.append(1, [2.0])
        run.finish()
    with Session.open(path) as session:
        assert session.series("train/loss")[1].tolist() == [1.0, 2.0]
        assert session.events() == []
    assert os.listdir(path.parent) == [path.name]


def test_without_shared_memory_a_rollback_journal_does_and_it_is_said_once(path, monkeypatch):
    monkeypatch.setitem(schema.VFS, "vfs", "unix-dotfile")
    with Recorder.create(path) as recorder:
        assert recorder.journal == "delete"
        for _ in range(2):
            run = recorder.start_run("train")
            run.group(["train/loss"]).append(0, [1.0])
            run.finish()
    with Session.open(path) as session:
        assert len(session.events(run=0, kinds=["note"])) == 1
        assert session.series("train/loss")[1].tolist() == [1.0]


def handles_of(folder):
    """What this process holds open in a folder."""
    links = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    held = [os.readlink(link) for link in links if os.path.lexists(link)]
    return [each for each in held if str(folder) in each]


def test_closing_ends_the_thread_and_every_file_handle(path):
    threads = threading.active_count()
    for _ in range(3):
        with Recorder.create(path, overwrite=True) as recorder, Session.open(path) as session:
            recorder.start_run("train").group(["train/loss"]).append(0, [1.0])
            recorder.flush()
            session.refresh()
            assert handles_of(path.parent)
    assert threading.active_count() == threads
    assert handles_of(path.parent) == []


def test_an_open_reader_does_not_keep_a_session_from_becoming_one_file(path):
    recorder = Recorder.create(path)
    run = recorder.start_run("train")
    run.group(["train/loss"]).append(0, [1.0])
    with Session.open(path) as session:
        recorder.close()
        assert os.listdir(path.parent) == [path.name]
        assert session.refresh()
        assert (session.live, session.run().status) == (False, "stopped")
        assert session.series("train/loss")[1].tolist() == [1.0]


def test_wishes_and_opinions_are_written_while_the_recorder_writes(path):
    with Recorder.create(path) as recorder, Session.open(path) as window, Session.open(path) as rules:
        run = recorder.start_run("train")
        group = run.group(["train/loss"])
        for step in range(200):
            group.append(step, [0.0])
            if step % 20 == 0:
                window.wish("set", {"optimizer.lr": step})
                rules.write_diagnoses(run.id, [Diagnosis("dead-relu", "error", "t", str(step), run.id)])
                run.flush()
        assert len(window.wishes()) == 10
        assert [diagnosis.message for diagnosis in window.diagnoses(run.id)] == ["180"]
        run.finish()


def test_a_wish_made_before_a_run_is_not_for_it(path):
    with Recorder.create(path) as recorder, Session.open(path) as session:
        session.wish("stop")
        run = recorder.start_run("train")
        session.wish("pause", run=run.id)
        while not run.pending_wishes:
            run.flush()
        assert [wish.what for wish in run.pending_wishes] == ["pause"]


def test_an_error_in_the_training_is_the_last_word_of_the_run(path):
    def train():
        with Recorder.create(path) as recorder:
            recorder.start_run("train")
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        train()
    with Session.open(path) as session:
        assert (session.run().status, session.run().reason) == ("crashed", "RuntimeError: out of memory")


def test_an_existing_session_is_overwritten_only_when_asked(path):
    Recorder.create(path).close()
    with pytest.raises(SessionError, match="exists already"):
        Recorder.create(path)
    Recorder.create(path, overwrite=True).close()


def test_a_migration_applies_wholly_or_not_at_all(path):
    Recorder.create(path).close()
    database = schema.connect(path)

    def good(database):
        database.execute("CREATE TABLE extra (a)")

    def bad(database):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        migrate(database, 1, 3, {2: good, 3: bad})
    assert database.execute("PRAGMA user_version").fetchone()[0] == 1
    migrate(database, 1, 2, {2: good})
    assert database.execute("PRAGMA user_version").fetchone()[0] == 2
    with pytest.raises(SessionError, match="too old"):
        migrate(database, 0, 1, {})
    database.close()


def test_the_library_lists_the_newest_first_and_broken_files_with_their_problem(path):
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        run.group(["train/loss"]).extend(np.arange(500), np.linspace(2, 1, 500)[:, None])
        run.finish()
    broken = path.with_name("broken.convdebug")
    broken.write_bytes(b"no")
    os.utime(broken, (0, 0))
    good, bad = library(path.parent)
    assert (good.status, good.steps, good.final_loss, good.problem) == ("finished", 500, 1.0, None)
    assert 32 <= len(good.curve) <= 64
    assert "not a convdebug session" in bad.problem


def test_the_playhead_plays_to_the_end_and_follows():
    playhead = Playhead()
    playhead.play()
    assert playhead.advance(0.5, 0, 100)
    assert playhead.step == 5
    playhead.advance(100.0, 0, 100)
    assert (playhead.mode, playhead.position) == ("paused", 100.0)
    playhead.follow()
    playhead.advance(0.0, 0, 250)
    assert playhead.step == 250
    playhead.seek(7)
    assert (playhead.mode, playhead.step) == ("paused", 7)
