"""Where sessions are kept, and blobs that newer ones have replaced."""

from pathlib import Path

from convdebug_sessions import Recorder, Session, default_folder


def test_sessions_are_kept_in_the_folder_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVDEBUG_SESSIONS", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"


def test_without_a_named_folder_sessions_are_kept_with_the_users_data(monkeypatch, tmp_path):
    monkeypatch.delenv("CONVDEBUG_SESSIONS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == Path(tmp_path) / "convdebug" / "sessions"


def test_forgotten_blobs_are_gone_and_the_others_stay(tmp_path):
    with Recorder.create(tmp_path / "a.convdebug") as recorder:
        run = recorder.start_run("train")
        for step in (0, 10, 20, 30):
            run.blob("checkpoint", step, bytes([step]))
        run.forget_blobs("checkpoint", [10, 20])
        run.finish()
    with Session.open(tmp_path / "a.convdebug") as session:
        assert [(ref.step, session.read(ref)) for ref in session.blobs("checkpoint")] == [(0, b"\0"), (30, bytes([30]))]
