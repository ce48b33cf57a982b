"""Sessions for the rules: synthetic ones written row by row, and real trainings recorded once."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convdebug_sessions import Recorder, RunRecorder

INFO = {
    "num_classes": 10,
    "expected_initial_loss": math.log(10),
    "batch_size": 64,
    "loss": {"name": "cross_entropy", "reduction": "mean"},
    "optimizer": {"name": "SGD", "lr": 0.1},
}
CONFIG = {
    "optimizer": {"lr": 0.1, "weight_decay": 0.0},
    "model": {"activation": "relu", "init": "default"},
    "data": {"preprocessing": "none", "augmentation": "none"},
    "regularization": {"dropout": 0.0, "l2": 0.0},
}
RELU_LAYERS = [{"name": f"layer{i}", "kind": "ReLU", "activation": "relu"} for i in range(6)]
PARAMETERS = [{"name": f"fc{i}.weight", "shape": [8, 8], "trainable": True, "in_optimizer": True} for i in range(6)]


def falling(steps: int, noise: float = 0.02) -> np.ndarray:
    """A healthy loss from ln 10 to about a third of it."""
    scatter = np.random.default_rng(0).normal(0, noise, steps)
    return math.log(10) * (0.3 + 0.7 * np.exp(-4 * np.arange(steps) / steps)) + scatter * (np.arange(steps) > 0)


def write_series(run: RunRecorder, series: Mapping[str, Any], first: int = 0) -> None:
    """Write series that share one length as one group, from step `first` on."""
    columns = [np.asarray(values, float) for values in series.values()]
    rows = np.stack(columns, axis=1)
    run.group(list(series)).extend(np.arange(first, first + len(rows)), rows)


def write_run(recorder: Recorder, *groups: Mapping[str, Any], status: str = "finished", **settings: Any) -> int:
    """One run with its groups of series; `settings`: kind, info, config, parent, parent_step, events, first."""
    events, first = settings.pop("events", ()), settings.pop("first", 0)
    info = INFO | settings.pop("info", {})
    run = recorder.start_run(
        settings.pop("kind", "train"), info=info, config=settings.pop("config", CONFIG), **settings
    )
    for group in groups:
        write_series(run, group, first)
    for kind, step, data in events:
        run.event(kind, step, **data)
    run.finish(status)
    return run.id


@pytest.fixture
def synthetic() -> SimpleNamespace:
    """What synthetic runs are made of, for tests that write their own session."""
    return SimpleNamespace(
        write_run=write_run,
        write_series=write_series,
        falling=falling,
        relu_layers=RELU_LAYERS,
        parameters=PARAMETERS,
        info=INFO,
        config=CONFIG,
    )


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a session with one run and gives its path."""

    def write(*groups: Mapping[str, Any], **settings: Any) -> Path:
        path = tmp_path / "run.convdebug"
        with Recorder.create(path, overwrite=True) as recorder:
            write_run(recorder, *groups, **settings)
        return path

    return write
