"""Facts are read once and only where they have grown; what is known does not depend on how it came."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from convdebug.rules import Facts, diagnose
from convdebug.rules.training import base_rate, first_loss, progress, update_ratio, weights
from convdebug_sessions import Recorder, Session


def test_a_series_that_was_not_recorded_is_empty(written, synthetic):
    with Session.open(written({"train/loss": synthetic.falling(50)})) as session:
        facts = Facts(session)
        assert len(facts.curve("val/loss")) == 0
        assert facts.table("gradient", "norm").names == ()


def test_a_growing_run_is_known_as_if_it_had_been_read_at_once(tmp_path, synthetic):
    path, rng = tmp_path / "grows.convdebug", np.random.default_rng(0)
    names = [f"gradient/fc{i}.weight/norm" for i in range(6)]
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=synthetic.info)
        with Session.open(path) as session:
            facts = None
            for first in range(0, 9000, 1500):
                synthetic.write_series(run, {"train/loss": rng.normal(2, 0.1, 1500)}, first)
                synthetic.write_series(run, {name: rng.random(1500) for name in names}, first)
                run.flush()
                session.refresh()
                facts = facts or Facts(session)
                facts.update()
                facts.table("gradient", "norm")
                facts.curve("train/loss")
            run.finish()
            session.refresh()
            facts.update()
            fresh = Facts(session)
            for mine, theirs in [(facts.table("gradient", "norm"), fresh.table("gradient", "norm"))]:
                assert mine.names == theirs.names == tuple(f"fc{i}.weight" for i in range(6))
                assert np.array_equal(mine.steps, theirs.steps)
                assert np.array_equal(mine.values, theirs.values)
            assert np.array_equal(facts.curve("train/loss").values, fresh.curve("train/loss").values)
            assert len(fresh.curve("train/loss")) == 9000


def test_the_newest_row_of_a_growing_table_waits_for_its_other_group(tmp_path, synthetic):
    path = tmp_path / "two-groups.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=synthetic.info)
        one, other = run.group(["gradient/a/norm"]), run.group(["gradient/b/norm"])
        for step in range(3):
            one.append(step, [1.0])
            other.append(step, [2.0])
        one.append(3, [1.0])
        run.flush()
        with Session.open(path) as session:
            facts = Facts(session)
            assert facts.table("gradient", "norm").steps.tolist() == [0, 1, 2]
            other.append(3, [2.0])
            run.finish()
            session.refresh()
            facts.update()
            assert facts.table("gradient", "norm").values.tolist() == [[1.0, 2.0]] * 4


def test_a_resumed_run_remembers_the_loss_before_the_first_update(tmp_path, synthetic):
    path = tmp_path / "resumed.convdebug"
    with Recorder.create(path) as recorder:
        first = synthetic.write_run(recorder, {"train/loss": synthetic.falling(100)}, status="stopped")
        rest = synthetic.write_run(recorder, {"train/loss": np.full(60, 0.7)}, parent=first, parent_step=100, first=100)
    with Session.open(path) as session:
        assert first_loss(Facts(session, rest)) == pytest.approx(np.log(10), rel=1e-6)
        assert progress(Facts(session, rest)).learned
        assert diagnose(session) == []


def test_the_update_ratio_of_the_network_weighs_parameters_by_their_size(written, synthetic):
    names = ("big", "small", "bias")
    parameters = [{"name": name, "shape": [4, 4] if name != "bias" else [4]} for name in names]
    ratios = {f"update/{name}/ratio": [ratio] * 4 for name, ratio in zip(names, (0.001, 0.1, 5.0), strict=True)}
    norms = {f"weight/{name}/norm": [norm] * 4 for name, norm in zip(names, (10.0, 0.1, 1.0), strict=True)}
    path = written({"train/loss": [2.3] * 4}, ratios | norms, info={"parameters": parameters})
    with Session.open(path) as session:
        facts = Facts(session)
        assert weights(facts) == {"big", "small"}
        expected = np.hypot(0.001 * 10, 0.1 * 0.1) / np.hypot(10, 0.1)
        assert update_ratio(facts).values == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("config", "info", "rate"),
    [
        ({"optimizer": {"lr": 0.3}}, {}, 0.3),
        (None, {"optimizer": {"name": "SGD", "lr": 0.02}}, 0.02),
        (None, {"optimizer": None}, 0.05),
    ],
)
def test_the_rate_is_that_of_the_config_the_optimizer_or_the_curve(written, config, info, rate):
    path = written({"train/loss": [2.3, 2.3], "train/lr": [0.05, 0.01]}, config=config, info=info)
    with Session.open(path) as session:
        assert base_rate(Facts(session)) == pytest.approx(rate)


def test_rules_load_neither_torch_nor_qt_and_are_there_at_once():
    program = (
        "import sys, json, convdebug.rules, convdebug.diagnose;"
        "print(json.dumps([name for name in ('torch', 'PyQt6', 'matplotlib', 'pydantic') if name in sys.modules]))"
    )
    begun = time.monotonic()
    answer = subprocess.run([sys.executable, "-c", program], env=_paths(), capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []
    assert time.monotonic() - begun < 5


def _paths():
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
