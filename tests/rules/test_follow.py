"""Following a growing session: opinions while it grows, the stop wish, the end, agreement with a later diagnosis."""

import dataclasses
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from convdebug.diagnose import Follower, follow
from convdebug.rules import RULES, diagnose
from convdebug_sessions import Recorder, Session

DIVERGING = np.concatenate([np.linspace(2.3, 2.2, 200), np.full(300, 80.0)])


def as_json(diagnoses):
    return [diagnosis.as_json() for diagnosis in diagnoses]


def ill_run(recorder, synthetic, pieces=10):
    """A run that diverges at step 200, written piece by piece; yields after each piece."""
    run = recorder.start_run("train", info=synthetic.info, config=synthetic.config)
    ratios = np.where(np.arange(500) < 150, 0.002, 0.4)
    for rows in np.split(np.arange(500), pieces):
        synthetic.write_series(run, {"train/loss": DIVERGING[rows]}, int(rows[0]))
        synthetic.write_series(run, {"update/fc0.weight/ratio": ratios[rows]}, int(rows[0]))
        run.flush()
        yield run
    run.finish()


def test_opinions_appear_while_the_session_grows_and_agree_with_the_later_diagnosis(tmp_path, synthetic):
    path, seen = tmp_path / "grows.convdebug", []
    with Recorder.create(path) as recorder, Session.open(path) as session:
        follower = Follower(session)
        for _ in ill_run(recorder, synthetic):
            assert follower.look()
            seen.append([each.rule for each in session.diagnoses(run=0)])
        follower.look()
        last = session.diagnoses(run=0)
    assert seen[3] == []
    assert seen[4] == ["learning-rate-too-high", "loss-diverged"]
    with Session.open(path) as finished:
        assert as_json(last) == as_json(diagnose(finished)) == as_json(finished.diagnoses(run=0))


def test_the_follower_ends_when_the_writer_is_gone_and_has_judged_every_run(tmp_path, synthetic):
    path = tmp_path / "two-runs.convdebug"
    recorder = Recorder.create(path)

    def train():
        with recorder:
            for _ in range(2):
                for _ in ill_run(recorder, synthetic):
                    time.sleep(0.01)

    training = threading.Thread(target=train)
    training.start()
    found = follow(path, interval_s=0.02)
    training.join()
    with Session.open(path) as session:
        assert {each.run for each in found} == {1, 2}
        assert as_json(found) == as_json(diagnose(session))


@pytest.mark.parametrize(("stop_on", "wishes"), [("error", ["stop"]), (None, [])])
def test_a_run_is_asked_once_to_stop_at_the_first_error(tmp_path, synthetic, stop_on, wishes):
    path = tmp_path / "stops.convdebug"
    with Recorder.create(path) as recorder, Session.open(path) as session:
        follower = Follower(session, stop_on)
        for _ in ill_run(recorder, synthetic):
            follower.look()
        assert [wish.what for wish in session.wishes()] == wishes


def test_a_healthy_run_is_left_running_and_nothing_is_written(tmp_path, synthetic):
    path = tmp_path / "healthy.convdebug"
    with Recorder.create(path) as recorder, Session.open(path) as session:
        run = recorder.start_run("train", info=synthetic.info)
        follower = Follower(session, "warning")
        for first in range(0, 400, 50):
            synthetic.write_series(run, {"train/loss": synthetic.falling(400)[first : first + 50]}, first)
            run.flush()
            follower.look()
        assert session.diagnoses(run=0) == []
        assert session.wishes() == []


def test_a_finished_session_is_judged_once_and_the_follower_returns(written, synthetic):
    path = written({"train/loss": DIVERGING})
    slept = []
    found = follow(path, sleep=slept.append)
    assert [each.rule for each in found][-1] == "loss-diverged"
    assert slept == []


def test_a_failing_rule_is_named_once_and_left_out_from_then_on(tmp_path, synthetic, monkeypatch, capsys):
    def stumble(facts):
        raise ValueError("cannot count")

    monkeypatch.setattr("convdebug.diagnose.RULES", [dataclasses.replace(RULES[0], judge=stumble), *RULES[1:]])
    path = tmp_path / "stumbles.convdebug"
    with Recorder.create(path) as recorder, Session.open(path) as session:
        follower = Follower(session)
        for _ in ill_run(recorder, synthetic):
            follower.look()
    assert capsys.readouterr().err.count(f"rule {RULES[0].name} failed: ValueError: cannot count") == 1


def write_and_die(path, info):
    recorder = Recorder.create(path)
    run = recorder.start_run("train", info=info)
    group = run.group(["train/loss"])
    for step, loss in enumerate(DIVERGING):
        group.append(step, [loss])
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_follower_of_a_killed_run_judges_all_of_its_steps(tmp_path, synthetic):
    path = tmp_path / "killed.convdebug"
    child = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(path, synthetic.info))
    child.start()
    child.join(30)
    found = follow(path, interval_s=0.02)
    with Session.open(path) as session:
        assert session.run().status == "killed"
        assert [each.rule for each in found] == [each.rule for each in diagnose(session)]
    assert found[0].last_step == len(DIVERGING) - 1
