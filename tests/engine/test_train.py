"""The trainer: what it records, that stopping and resuming change no number, and that a crash is kept."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from convdebug.checkpoint import ResumePoint
from convdebug.config import RunConfig
from convdebug.errors import TargetError, UserError
from convdebug.packing import pack, unpack
from convdebug.target import Target
from convdebug.train import Plan, train
from convdebug_sessions import Recorder, Session

SMALL = {
    "data.limit": 320,
    "data.val_limit": 64,
    "data.batch_size": 32,
    "model.name": "two-layer",
    "train.steps": 24,
    "data.augmentation": "crop+flip",
    "regularization.dropout": 0.3,
    "schedule.name": "cosine",
}


def job(**changes):
    config = RunConfig.of({**SMALL, **changes})
    return Target.from_config(config), Plan.from_config(config, "cpu")


def record(path, **changes):
    target, plan = job(**changes)
    with Recorder.create(path) as recorder:
        return train(target, recorder, plan)


def final_weights(path):
    return ResumePoint.last_of(path).state["model"]


def test_a_training_records_every_step_its_validation_and_its_ends_of_epochs(tmp_path):
    record(tmp_path / "a.convdebug")
    with Session.open(tmp_path / "a.convdebug") as session:
        run = session.run()
        steps, losses = session.series("train/loss")
        assert (run.status, run.steps, list(steps)) == ("finished", 24, list(range(24)))
        assert np.isfinite(losses).all()
        assert session.series("val/accuracy")[0][-1] == 23
        assert [event.data["epoch"] for event in session.events(kinds=["epoch"])] == [0, 1]
        assert run.config["model"]["name"] == "two-layer"
        assert (run.info["data"]["train"], run.info["data"]["input_shape"]) == (320, [3, 32, 32])
        assert (run.info["batch_size"], len(run.info["data"]["class_names"])) == (32, 10)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_run_resumed_from_its_checkpoint_gives_the_numbers_of_an_uninterrupted_one(tmp_path, optimizer):
    whole, parts = tmp_path / "whole.convdebug", tmp_path / "parts.convdebug"
    record(whole, **{"optimizer.name": optimizer})
    target, plan = job(**{"optimizer.name": optimizer})

    def interrupt(done: int, total: int) -> None:
        if done == 13:
            os.kill(os.getpid(), signal.SIGINT)

    with Recorder.create(parts) as recorder, pytest.raises(KeyboardInterrupt):
        train(target, recorder, plan, on_step=interrupt)
    point = ResumePoint.last_of(parts)
    target, plan = job(**{"optimizer.name": optimizer})
    with Recorder.append(parts) as recorder:
        train(target, recorder, plan, resume=point)

    assert point.step == 13
    with Session.open(whole) as one, Session.open(parts) as two:
        first, second = two.runs
        assert (first.status, second.status, second.parent, second.parent_step) == ("stopped", "finished", 1, 13)
        _, expected = one.series("train/loss", run=1)
        got = np.concatenate([two.series("train/loss", run=run)[1] for run in (1, 2)])
        assert np.array_equal(expected, got)
    left, right = final_weights(whole), final_weights(parts)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_watching_at_every_step_changes_no_weight(tmp_path):
    record(tmp_path / "often.convdebug", **{"watch.every": 1})
    record(tmp_path / "rarely.convdebug", **{"watch.every": 1000})
    often, rarely = final_weights(tmp_path / "often.convdebug"), final_weights(tmp_path / "rarely.convdebug")
    assert all(torch.equal(often[name], rarely[name]) for name in often)


def test_only_the_start_the_epochs_and_the_latest_checkpoints_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("convdebug.checkpoint.SPACING_STEPS", 2)
    monkeypatch.setattr("convdebug.checkpoint.LARGEST_SHARE", 1e9)
    record(tmp_path / "a.convdebug")
    with Session.open(tmp_path / "a.convdebug") as session:
        assert [ref.step for ref in session.blobs("checkpoint")] == [0, 10, 18, 20, 22, 24]


def test_wishes_are_obeyed_at_the_next_step_and_recorded(tmp_path):
    path = tmp_path / "a.convdebug"
    target, plan = job(**{"schedule.name": "constant", "train.steps": 4000})

    def wish(done: int, total: int) -> None:
        if done in (5, 200):
            with Session.open(path) as session:
                if done == 5:
                    session.wish("set", {"optimizer.lr": 0.002, "data.batch_size": 16})
                else:
                    session.wish("stop")
        time.sleep(0.002)

    with Recorder.create(path) as recorder:
        train(target, recorder, plan, on_step=wish)
    with Session.open(path) as session:
        run = session.run()
        changes = {event.data["key"]: event for event in session.events(kinds=["change"])}
        assert run.status == "stopped"
        assert run.steps < 4000
        assert changes["optimizer.lr"].data["new"] == 0.002
        assert changes["data.batch_size"].data["new"] == 16
        assert session.series("train/lr")[1][-1] == pytest.approx(0.002)


def test_a_crash_in_the_users_model_keeps_the_session_with_its_traceback(tmp_path):
    class Breaks(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)
            self.calls = 0

        def forward(self, inputs):
            self.calls += self.training
            if self.calls == 6:
                raise RuntimeError("the sixth batch is too much")
            return self.layer(inputs)

    target = Target(
        make_model=Breaks,
        train_data=(torch.randn(64, 4), torch.randint(0, 2, (64,))),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        batch_size=8,
    )
    with Recorder.create(tmp_path / "a.convdebug") as recorder, pytest.raises(TargetError, match="too much"):
        train(target, recorder, Plan(steps=20, device="cpu"))
    with Session.open(tmp_path / "a.convdebug") as session:
        run = session.run()
        assert (run.status, run.steps) == ("crashed", 5)
        assert "the sixth batch" in session.events(kinds=["crash"])[0].data["traceback"]


def test_resuming_with_another_model_says_what_does_not_fit(tmp_path):
    record(tmp_path / "a.convdebug")
    point = ResumePoint.last_of(tmp_path / "a.convdebug")
    target, plan = job(**{"model.hidden": 7, "train.steps": 30})
    with (
        Recorder.append(tmp_path / "a.convdebug") as recorder,
        pytest.raises(UserError, match="does not fit this model"),
    ):
        train(target, recorder, plan, resume=point)


def test_whatever_is_packed_comes_back(tmp_path):
    nest = {"a/b": torch.arange(3), "a": {"b": torch.ones(2, 2)}, 3: [1, (2.5, None, "x")], "nan": float("inf")}
    back = unpack(pack(nest))
    assert torch.equal(back["a/b"], nest["a/b"])
    assert torch.equal(back["a"]["b"], nest["a"]["b"])
    assert (back[3], back["nan"]) == ([1, (2.5, None, "x")], float("inf"))


def test_objects_that_only_pickle_could_keep_are_refused():
    with pytest.raises(TypeError, match="plain data"):
        pack({"x": object()})


def test_a_killed_training_keeps_its_steps_and_resumes_from_its_last_checkpoint(tmp_path):
    path = tmp_path / "a.convdebug"
    sets = [f"--set={key}={value}" for key, value in SMALL.items() if key != "train.steps"]
    command = [sys.executable, "-m", "convdebug", "train", *sets, "--session", str(path), "--device", "cpu"]
    process = subprocess.Popen([*command, "--steps", "200000"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.stat().st_size:
            with Session.open(path) as session:
                if session.runs and session.run().steps > 150 and len(session.blobs("checkpoint")) > 1:
                    break
        time.sleep(0.05)
    process.kill()
    process.wait()
    with Session.open(path) as session:
        assert session.run().status == "killed"
        killed_at = session.run().steps
    point = ResumePoint.last_of(path)
    assert 0 < point.step <= killed_at
    resumed = subprocess.run(
        [sys.executable, "-m", "convdebug", "train", "--resume", str(path), "--steps", str(point.step + 5)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert resumed.returncode == 0, resumed.stderr
    with Session.open(path) as session:
        assert [run.status for run in session.runs] == ["killed", "finished"]
        assert session.runs[1].steps == point.step + 5
        assert session.series("train/loss", run=2)[0][-1] == point.step + 4


def test_ctrl_c_ends_a_paused_training_at_once(tmp_path):
    path = tmp_path / "a.convdebug"
    target, plan = job(**{"train.steps": 4000})

    def pause(done: int, total: int) -> None:
        if done == 3:
            with Session.open(path) as session:
                session.wish("pause")
            signal.setitimer(signal.ITIMER_REAL, 1.0)
        time.sleep(0.002)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        with Recorder.create(path) as recorder, pytest.raises(KeyboardInterrupt):
            train(target, recorder, plan, on_step=pause)
    finally:
        signal.signal(signal.SIGALRM, before)
    with Session.open(path) as session:
        assert session.events(kinds=["paused"])
        assert session.run().status == "stopped"
        assert session.blobs("checkpoint")[-1].step == session.run().steps


def test_a_wish_for_a_negative_rate_is_noted_and_not_granted(tmp_path):
    path = tmp_path / "a.convdebug"
    target, plan = job(**{"schedule.name": "constant", "train.steps": 150})

    def wish(done: int, total: int) -> None:
        if done == 3:
            with Session.open(path) as session:
                session.wish("set", {"optimizer.lr": -1.0})
        time.sleep(0.002)

    with Recorder.create(path) as recorder:
        train(target, recorder, plan, on_step=wish)
    with Session.open(path) as session:
        assert (session.series("train/lr")[1] > 0).all()
        assert any("cannot be granted" in event.data["text"] for event in session.events(kinds=["note"]))
