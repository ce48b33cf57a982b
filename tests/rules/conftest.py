"""Sessions for the rules: synthetic ones written row by row, and real trainings recorded once."""

import contextlib
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


HERE = Path(__file__).parent
SMALL = {"data.limit": 1000, "data.val_limit": 200, "data.batch_size": 32, "train.device": "cpu", "watch.every": 1}
CONVNET = {"model.name": "convnetjs", "optimizer.lr": 0.02, "train.steps": 120}
TWO_LAYER = {"model.name": "two-layer", "train.steps": 60}
LECTURE = {
    **TWO_LAYER,
    "model.init": "gaussian",
    "model.init_std": 1e-4,
    "data.preprocessing": "zero-center",
    "optimizer.name": "sgd",
    "data.batch_size": 100,
}
TEN_LAYER = {"model.name": "ten-layer", "model.hidden": 64, "optimizer.name": "sgd", "train.steps": 60}
TANH = {"model.activation": "tanh", "model.init": "xavier"}

HEALTHY: dict[str, dict[str, Any]] = {
    "plain": CONVNET,
    "batch-norm": {**CONVNET, "model.batch_norm": "before", "optimizer.lr": 0.01},
    "dropout": {**CONVNET, "regularization.dropout": 0.3},
    "augmentation": {**CONVNET, "data.augmentation": "crop+flip"},
    "adam": {**CONVNET, "optimizer.name": "adam", "optimizer.lr": 0.002},
    "tanh": {**CONVNET, **TANH},
    "pixels of the lecture": {**LECTURE, "optimizer.lr": 5e-4, "train.steps": 150},
    "cosine to zero": {**CONVNET, "schedule.name": "cosine"},
    "small batches": {**CONVNET, "data.batch_size": 4, "optimizer.lr": 0.002, "train.steps": 200},
    "weight decay": {**CONVNET, "optimizer.weight_decay": 5e-4},
    "ten layers of tanh": {**TEN_LAYER, **TANH, "optimizer.lr": 0.05, "train.steps": 120},
    "ten layers of relu": {**TEN_LAYER, "model.activation": "relu", "model.init": "he", "optimizer.lr": 0.02},
    "eight steps": {**CONVNET, "train.steps": 8},
    "twenty steps": {**CONVNET, "train.steps": 20},
    "twenty examples by heart": {**TWO_LAYER, "data.limit": 20, "data.batch_size": 20, "train.steps": 100},
    "small batches with batch norm": {
        **CONVNET,
        "model.batch_norm": "before",
        "data.batch_size": 8,
        "optimizer.lr": 0.005,
    },
    "clipping": {**CONVNET, "train.clip": 2.0},
    "strong weight decay": {**CONVNET, "optimizer.weight_decay": 0.01},
    "half dropped": {**CONVNET, "regularization.dropout": 0.5},
    "thinly measured": {**CONVNET, "watch.every": None},
}

Ill = dict[str, Any] | str | Callable[[Recorder], None]
"""Settings of a RunConfig, a function of `ill_targets.py`, or one that writes what no training here can show."""


def waits_for_the_device(recorder: Recorder) -> None:
    """A run on CUDA that reads its loss at every step."""
    wall = 0.02 * np.arange(1, 101)
    waiting = {"time/sync": np.full(100, 0.012), "time/sync_calls": np.full(100, 2.0)}
    write_run(recorder, {"train/loss": falling(100), "time/wall": wall}, waiting, info={"device": "cuda:0"})


def device_unused(recorder: Recorder) -> None:
    """A run on the CPU of a machine with a GPU."""
    times = {f"time/{phase}": np.full(50, 0.03) for phase in ("forward", "backward", "optimizer")}
    info = {"device": "cpu", "accelerators": ["cuda:0"]}
    write_run(recorder, {"train/loss": falling(50)}, times, info=info)


GAUSSIAN = {"model.init": "gaussian"}
ILL: dict[str, Ill] = {
    "non-finite-inputs": "a_missing_value",
    "non-finite-labels": "labels_with_a_gap",
    "non-finite-update": "adam_without_eps",
    "non-finite-activation": "variance_by_a_difference",
    "non-finite-gradient": "distance_to_itself",
    "inputs-not-scaled": {**CONVNET, "model.init": "he", "data.preprocessing": "none", "train.steps": 60},
    "inputs-not-centered": {**LECTURE, "data.preprocessing": "none", "optimizer.lr": 2e-6},
    "label-out-of-range": "label_beyond_the_outputs",
    "class-imbalance": "one_class_almost_alone",
    "loss-summed-over-batch": "loss_summed",
    "initial-loss-off": {**TWO_LAYER, **GAUSSIAN, "model.init_std": 0.3, "optimizer.lr": 1e-5},
    "symmetric-weights": {**TWO_LAYER, "model.init": "zero"},
    "vanishing-activations": {**TEN_LAYER, **GAUSSIAN, "model.activation": "tanh", "model.init_std": 0.01},
    "exploding-activations": {
        **TEN_LAYER, **GAUSSIAN, "model.activation": "relu", "model.init_std": 0.5, "optimizer.lr": 1e-9
    },
    "learning-rate-too-low": {**LECTURE, "optimizer.lr": 1e-6, "train.steps": 100},
    "learning-rate-too-high": {**LECTURE, "optimizer.lr": 1e6, "train.steps": 20},
    "learning-rate-zero": {**TWO_LAYER, "schedule.name": "step", "schedule.every": 0.2, "schedule.factor": 0.01},
    "loss-diverged": "loss_that_breaks",
    "loss-not-decreasing": "labels_drawn_anew",
    "dead-relu": "dead_from_the_start",
    "saturated-units": {
        **TEN_LAYER, **GAUSSIAN, "model.activation": "tanh", "model.init_std": 1.0, "optimizer.lr": 1e-3
    },
    "vanishing-gradient": {**TEN_LAYER, "model.activation": "sigmoid", "model.init": "xavier", "optimizer.lr": 0.1},
    "exploding-gradient": {
        **TEN_LAYER, **GAUSSIAN, "model.activation": "tanh", "model.init_std": 1.0, "optimizer.lr": 1e-3
    },
    "constant-output": "dead_from_the_start",
    "overfitting": {**CONVNET, "data.limit": 150, "train.steps": 200},
    "underfitting": "two_units_wide",
    "data-bound": "slow_to_load",
    "wrong-gradient": "backward_without_its_factor",
    "batch-mixing": "softmax_over_the_batch",
    "input-ignored": "input_scaled_to_nothing",
    "regularization-without-effect": "penalty_without_a_gradient",
    "train-val-overlap": "validation_examples_trained_on",
    "splits-differ-in-scale": "validation_of_another_scale",
    "duplicate-examples": "every_example_twice",
    "identical-augmentation": "workers_of_one_mind",
    "not-deterministic": "another_order_each_time",
    "sync-bound": waits_for_the_device,
    "device-idle": device_unused,
    "unshuffled-batches": "sorted_by_class",
    "gradients-accumulate": "never_zeroed",
    "parameters-not-in-optimizer": "head_forgotten",
    "parameters-held-twice": "every_parameter_twice",
    "frozen-parameters": "left_frozen",
    "no-gradient": "cut_off",
    "double-softmax": "softmax_twice",
    "double-sigmoid": "sigmoid_twice",
    "loss-expects-log-probabilities": "scores_for_logarithms",
    "loss-shape-broadcast": "every_output_against_every_label",
    "eval-mode-while-training": "trained_asleep",
    "train-mode-while-validating": "validated_awake",
    "optimizer-not-stepping": "never_stepped",
    "steps-skipped": "half_of_the_steps_skipped",
    "labels-unrelated-to-inputs": "labels_by_lot",
    "graph-kept-alive": "losses_summed_with_their_graphs",
    "batch-norm-small-batch": {
        **CONVNET, "model.batch_norm": "before", "data.batch_size": 2, "optimizer.lr": 0.002, "train.steps": 60
    },
    "loss-oscillating": "rate_at_the_edge",
    "loss-plateau": "two_units_wide_at_a_constant_rate",
    "clipping-always-active": {**CONVNET, "train.clip": 0.05},
    "regularization-dominates": {**CONVNET, "optimizer.weight_decay": 0.5},
    "excessive-dropout": "nearly_all_dropped",
    "validation-better-than-train": "easy_validation",
}  # fmt: skip
STEPS_OF_TARGETS = {"labels_drawn_anew": 210, "slow_to_load": 30, "two_units_wide": 300} | {
    "labels_by_lot": 400,
    "losses_summed_with_their_graphs": 130,
    "rate_at_the_edge": 480,
    "two_units_wide_at_a_constant_rate": 500,
    "nearly_all_dropped": 120,
    "easy_validation": 240,
}
SEEN_BY_A_CHECK = {
    "backward_without_its_factor": "gradient-check",
    "softmax_over_the_batch": "batch-mixing",
    "input_scaled_to_nothing": "input-independence",
    "penalty_without_a_gradient": "regularization-raises-loss",
    "every_parameter_twice": "parameters",
}


CHECKED_FIRST = {
    "one_class_almost_alone": ["data"],
    "validation_examples_trained_on": ["data"],
    "validation_of_another_scale": ["data"],
    "every_example_twice": ["data"],
    "workers_of_one_mind": ["data"],
    "another_order_each_time": ["determinism"],
}


class Trainings:
    """Real trainings by the real trainer, each recorded at most once in a test session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[Any, Path] = {}

    def of(self, what: "Mapping[str, Any] | Ill") -> Path:
        """The session of a training: settings of a RunConfig, or the name of a function in `ill_targets.py`."""
        key = what if isinstance(what, str) or callable(what) else repr(sorted((SMALL | dict(what)).items(), key=str))
        if key not in self._paths:
            self._paths[key] = self.folder / f"{len(self._paths)}.convdebug"
            self._record(what, self._paths[key])
        return self._paths[key]

    def _record(self, what: "Mapping[str, Any] | Ill", path: Path) -> None:
        if not isinstance(what, str) and callable(what):
            with Recorder.create(path) as recorder:
                what(recorder)
            return
        from convdebug.checks.run import run_checks
        from convdebug.config import RunConfig
        from convdebug.errors import TargetError
        from convdebug.target import Target, load_target
        from convdebug.train import Plan, train

        with Recorder.create(path) as recorder:
            if not isinstance(what, str):
                config = RunConfig.of(SMALL | dict(what))
                train(Target.from_config(config), recorder, Plan.from_config(config))
                return
            target = load_target(f"{HERE / 'ill_targets.py'}:{what}")
            if what in SEEN_BY_A_CHECK:
                run_checks(target, recorder, only=[SEEN_BY_A_CHECK[what]], budget_s=10)
                return
            if what == "one_class_almost_alone":
                run_checks(target, recorder, only=["data"], budget_s=1)
            if what in CHECKED_FIRST:
                run_checks(target, recorder, only=CHECKED_FIRST[what], budget_s=2)
            with contextlib.suppress(TargetError):
                train(target, recorder, Plan(steps=STEPS_OF_TARGETS.get(what, 60), device="cpu", every=1))


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """Trainings by the trainer, shared by all tests of this folder."""
    import torch

    torch.set_num_threads(1)
    return Trainings(tmp_path_factory.mktemp("trainings"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`ill` runs over the rules with their sick training, `healthy` over the healthy trainings."""
    if "ill" in metafunc.fixturenames:
        metafunc.parametrize("ill", ILL.items(), ids=list(ILL))
    if "healthy" in metafunc.fixturenames:
        metafunc.parametrize("healthy", HEALTHY.values(), ids=list(HEALTHY))


@pytest.fixture
def ill_rules() -> set[str]:
    """The rules that have a sick training."""
    return set(ILL)
