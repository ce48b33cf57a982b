"""Rules keep up: a long session at once, a fast one while it grows."""

import time

import numpy as np
import pytest

from convdebug.diagnose import Follower
from convdebug.rules import diagnose
from convdebug_sessions import Recorder, Session

LAYERS = [f"layer{i}" for i in range(60)]
PARAMETERS = [f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")]
GROUPS = [
    ["train/loss", "train/lr", "time/wall"],
    ["input/mean", "input/std", "input/min", "input/max"],
    ["output/min", "output/max", "output/row_sum", "output/batch_std"],
    [f"activation/{layer}/{what}" for layer in LAYERS for what in ("mean", "std", "zero_fraction")],
    [f"unit/{layer}/dead" for layer in LAYERS],
    [f"gradient/{name}/norm" for name in PARAMETERS],
    [f"{kind}/{name}/{what}" for kind, what in (("update", "ratio"), ("weight", "norm")) for name in PARAMETERS],
]
INFO = {
    "layers": [{"name": layer, "kind": "ReLU", "activation": "relu"} for layer in LAYERS],
    "parameters": [{"name": name, "shape": [9, 9] if name.endswith("weight") else [9]} for name in PARAMETERS],
    "num_classes": 10,
    "batch_size": 64,
    "loss": {"name": "cross_entropy"},
}


def grow(run, first, count):
    rng, steps = np.random.default_rng(first), np.arange(first, first + count)
    for names in GROUPS:
        run.group(names).extend(steps, rng.random((count, len(names)), np.float32) * 0.002)


@pytest.mark.timeout(120)
def test_a_session_of_a_hundred_thousand_steps_is_diagnosed_within_five_seconds(tmp_path):
    path = tmp_path / "long.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=INFO)
        for first in range(0, 100_000, 5_000):
            grow(run, first, 5_000)
        run.finish()
    begun = time.process_time()
    with Session.open(path) as session:
        diagnose(session)
    assert time.process_time() - begun < 5


def test_following_three_hundred_steps_a_second_of_sixty_layers_takes_less_than_half_a_core(tmp_path):
    path = tmp_path / "fast.convdebug"
    with Recorder.create(path) as recorder, Session.open(path) as session:
        run = recorder.start_run("train", info=INFO)
        grow(run, 0, 6_000)
        run.flush()
        follower, costs = Follower(session), []
        for first in range(6_000, 7_500, 150):
            follower.look()
            grow(run, first, 150)
            run.flush()
            begun = time.thread_time()
            follower.look()
            costs.append(time.thread_time() - begun)
    assert np.median(costs) < 0.25
