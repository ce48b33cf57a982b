"""What is recorded reads back."""

import numpy as np
import pytest

from convdebug_sessions import Diagnosis, Recorder, Remedy, Session, SessionError


def test_a_run_reads_back(tmp_path):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", "first", config={"optimizer.lr": 0.1}, info={"target": "x"})
        group = run.group(["train/loss", "train/lr"])
        for step in range(10000):
            group.append(step, [step * 0.5, 0.1])
        run.event("epoch", 9999, epoch=1, loss=float("nan"))
        run.blob("filters", 5, np.arange(12, dtype=np.float32).reshape(3, 4), name="conv1", names=["a"], note=1)
        run.update_info(seed=3)
        run.finish()
    with Session.open(path) as session:
        found = session.run()
        assert (found.status, found.steps, found.config) == ("finished", 10000, {"optimizer.lr": 0.1})
        assert found.info == {"target": "x", "seed": 3}
        steps, values = session.series("train/loss")
        assert np.array_equal(steps, np.arange(10000))
        assert np.array_equal(values, np.arange(10000) * 0.5)
        steps, values = session.series("train/loss", first=4000, last=5000)
        assert np.array_equal(values, np.arange(4000, 5001) * 0.5)
        assert session.value("train/loss", 77) == (77, 38.5)
        event = session.events(kinds=["epoch"])[0]
        assert event.step == 9999
        assert np.isnan(event.data["loss"])
        ref = session.blob_at("filters", 7)
        assert ref is not None
        assert ref.meta == {"note": 1}
        assert np.array_equal(session.read(ref), np.arange(12).reshape(3, 4))
        buckets = session.buckets("train/loss", points=100)
        assert len(buckets.mean) == 100
        edges, mean, bad = session.heat(["train/loss", "train/lr"], columns=50)
        assert mean.shape == bad.shape == (2, 50)
        assert len(edges) == 51
    assert [file.name for file in tmp_path.iterdir()] == ["run.convdebug"]


def test_a_growing_run_can_be_read_and_wished_at(tmp_path):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder, Session.open(path) as session:
        run = recorder.start_run("train")
        run.group(["train/loss"]).append(0, [1.0])
        run.flush()
        session.refresh()
        assert session.series("train/loss")[1].tolist() == [1.0]
        wish = session.wish("set", {"optimizer.lr": 0.01})
        for _ in range(1000):
            if run.pending_wishes:
                break
            run.flush()
        assert run.pending_wishes[0].value == {"optimizer.lr": 0.01}
        run.applied(run.pending_wishes[0], 1)
        run.flush()
        assert [(each.id, each.applied_step) for each in session.wishes()] == [(wish, 1)]
        assert run.pending_wishes == ()
        diagnosis = Diagnosis(
            "dead-relu", "error", "t", "m", run.id, evidence={"x": float("inf")}, remedies=(Remedy("a"),)
        )
        session.write_diagnoses(run.id, [diagnosis])
        assert session.diagnoses() == [diagnosis]


def test_an_unknown_series_is_answered_with_the_nearest(tmp_path):
    with Recorder.create(tmp_path / "run.convdebug") as recorder:
        recorder.start_run("train").group(["train/loss"])
    with Session.open(tmp_path / "run.convdebug") as session, pytest.raises(SessionError, match=r"nearest: train/loss"):
        session.series("trian/loss")
