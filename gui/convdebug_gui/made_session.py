"""Makes sessions that look like real trainings without training anything: for pictures of the window and for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convdebug_sessions import Diagnosis, Recorder, Remedy, RunRecorder, Session

CLASSES = ("circle", "square", "triangle", "star", "cross", "ring", "stripes", "dots", "wave", "checker")
BREAK = 396
STEPS = 704


def make_session(
    path: Path,
    *,
    steps: int = STEPS,
    layers: int = 9,
    sick_at: int | None = BREAK,
    finish: bool = True,
    sweep: bool = True,
) -> Path:
    """A training of `layers` convolutions; from step `sick_at` on its learning rate is ten times too high."""
    with Recorder.create(path, overwrite=True) as recorder:
        run = recorder.start_run("train", config=_config(), info=info_of(layers, steps))
        write_run(run, steps, layers, sick_at)
        if finish:
            run.finish()
        if sweep:
            _write_sweep(recorder)
    if sick_at is not None and steps > sick_at:
        with Session.open(path) as session:
            session.write_diagnoses(run.id, diagnoses_of(run.id, sick_at, steps, layers))
    return path


def _config() -> dict[str, object]:
    return {
        "model": {"name": "vgg-bn"},
        "data": {"name": "shapes10", "batch_size": 128},
        "optimizer": {"name": "momentum", "lr": 0.032, "momentum": 0.9},
    }


def info_of(layers: int, steps: int | None) -> dict[str, object]:
    """What a run says of itself."""
    names = [f"conv{index + 1}" for index in range(layers)]
    return {
        "target": "vgg-bn on shapes10",
        "device": "cpu",
        "batch_size": 128,
        "num_classes": 10,
        "expected_initial_loss": math.log(10),
        "steps_planned": steps,
        "steps_per_epoch": 80,
        "layers": [
            {
                "name": name,
                "kind": "Conv2d",
                "activation": "relu",
                "units": 64,
                "parameters": [f"{name}.weight", f"{name}.bias"],
            }
            for name in names
        ],
        "parameters": [
            {"name": f"{name}.weight", "shape": [64, 64, 3, 3], "size": 36864, "layer": name, "trainable": True}
            for name in names
        ],
        "data": {"name": "shapes10", "class_names": list(CLASSES), "input_shape": [3, 32, 32]},
    }


def write_run(run: RunRecorder, steps: int, layers: int, sick_at: int | None, bad_from: int | None = None) -> None:
    """All series, events and blobs of one training; values are NaN from step `bad_from` on."""
    random = np.random.default_rng(7)
    at = np.arange(steps)
    sick = _sickness(at, sick_at)
    _write_losses(run, at, sick, random, bad_from)
    _write_layers(run, at, sick, layers, random, bad_from)
    _write_events(run, steps, sick_at)
    for step in range(0, steps, max(steps // 44, 1)):
        _write_blobs(run, step, sick[step], layers, random, bad=bad_from is not None and step >= bad_from)


def _sickness(at: np.ndarray, sick_at: int | None) -> np.ndarray:
    """0 while healthy, rising to 1 within a dozen steps."""
    return np.zeros(len(at)) if sick_at is None else 1 / (1 + np.exp(-(at - sick_at - 6) / 2.0))


def _write_losses(
    run: RunRecorder, at: np.ndarray, sick: np.ndarray, random: np.random.Generator, bad_from: int | None
) -> None:
    healthy = 0.7 + 1.75 * np.exp(-at / 300)
    ill = 7.6 * np.exp(-np.maximum(at - BREAK, 0) / 1700)
    loss = np.exp((1 - sick) * np.log(healthy) + sick * np.log(ill) + random.normal(0, 0.12 + 0.06 * sick))
    loss[0] = 2.32
    accuracy = np.clip(
        (0.1 + 0.75 * (1 - np.exp(-at / 190))) * (1 - sick) + 0.1 * sick + random.normal(0, 0.02, len(at)), 0, 1
    )
    if bad_from is not None:
        loss[bad_from:], accuracy[bad_from:] = np.nan, 0.1
    rate = np.where(at < BREAK - 12, 0.032, 0.32) if sick.any() else np.full(len(at), 0.032)
    run.group(["train/loss", "train/lr", "time/wall"]).extend(at, np.stack([loss, rate, at * 0.11], 1))
    run.group(["train/accuracy"]).extend(at, accuracy[:, None])
    every = at[39::80]
    validation = np.stack([loss[every] * 1.12, np.clip(accuracy[every] * 0.93, 0.1, 1)], 1)
    run.group(["val/loss", "val/accuracy"]).extend(every, validation)


def _write_layers(
    run: RunRecorder, at: np.ndarray, sick: np.ndarray, layers: int, random: np.random.Generator, bad_from: int | None
) -> None:
    depth = np.arange(layers) / max(layers - 1, 1)
    gradients = (
        _wander(len(at), layers, random) * 0.15 - 2.2 - 1.1 * depth + sick[:, None] * np.where(depth < 0.7, 1.7, -4.0)
    )
    updates = _wander(len(at), layers, random) * 0.25 - 3.1 - 0.3 * depth + sick[:, None] * (1.7 - 1.0 * depth)
    names = [f"conv{index + 1}" for index in range(layers)]
    for key, logs in (("gradient/{}.weight/norm", gradients), ("update/{}.weight/ratio", updates)):
        values = 10.0**logs
        if bad_from is not None:
            values[bad_from:] = np.nan
        run.group([key.format(name) for name in names]).extend(at, values)
    seen = at[::8]
    std = 0.95 - 0.4 * depth + 0.02 * random.normal(size=(len(seen), layers))
    std *= 1 - sick[seen, None] * np.where(depth < 0.75, 0.02, 0.65)
    mean = 0.1 * np.sin(5 * depth) + np.zeros((len(seen), 1))
    dead = np.clip(np.where(depth > 0.5, 0.55, 0.05) * sick[seen, None] + 0.02, 0, 1)
    for key, values in (("mean", mean), ("std", std), ("zero_fraction", dead * 0.9 + 0.05)):
        run.group([f"activation/{name}/{key}" for name in names]).extend(seen, values)
    run.group([f"unit/{name}/dead" for name in names]).extend(seen, dead)


def _wander(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit size."""
    steps = random.normal(size=(rows, columns))
    kernel = np.exp(-np.arange(24) / 6.0)
    smooth = np.stack([np.convolve(steps[:, column], kernel)[:rows] for column in range(columns)], 1)
    return smooth / max(float(smooth.std()), 1e-9)


def _write_events(run: RunRecorder, steps: int, sick_at: int | None) -> None:
    for epoch, step in enumerate(range(79, steps, 80)):
        run.event("epoch", step, epoch=epoch)
        run.blob("checkpoint", step, b"weights", name="step", epoch=epoch)
    if sick_at is not None and steps > sick_at:
        run.event("change", max(sick_at - 12, 0), key="optimizer.lr", old=0.032, new=0.32, by="wish")


def _write_blobs(
    run: RunRecorder, step: int, sick: float, layers: int, random: np.random.Generator, *, bad: bool
) -> None:
    names = [f"conv{index + 1}" for index in range(layers)]
    rows = np.stack([_histogram(index / max(layers - 1, 1), sick, random) for index in range(layers)])
    if bad:
        rows[:, :2], rows[:, 2:] = np.nan, 0
    run.blob("activation-histograms", step, rows.astype(np.float32), names=names)
    run.blob("filters", step, _filters(step, random), name="conv1.weight")
    if step == 0:
        run.blob("fixed-batch", 0, _pictures(), names=[CLASSES[index % 10] for index in range(8)])
    run.blob("predictions", step, _predictions(step, sick, random))


def _histogram(depth: float, sick: float, random: np.random.Generator) -> np.ndarray:
    spread = 1.0 - 0.55 * depth - (0.5 * sick * (1 - depth) if depth > 0.8 else 0)
    sample = random.normal(0.05, max(spread, 0.06), 4096)
    low, high = sample.min(), sample.max()
    counts, _edges = np.histogram(sample, 64, (low, high))
    return np.concatenate([[low, high], counts])


def _filters(step: int, random: np.random.Generator) -> np.ndarray:
    """36 filters (36, 3, 7, 7): stripes and blobs of colour that grow out of noise."""
    y, x = np.mgrid[-1:1:7j, -1:1:7j]
    fixed = np.random.default_rng(3)
    result = np.empty((36, 3, 7, 7), np.float32)
    for index in range(36):
        angle, wave, color = fixed.uniform(0, math.pi), fixed.uniform(2, 5), fixed.normal(size=3)
        stripes = np.cos(wave * (x * math.cos(angle) + y * math.sin(angle))) * np.exp(-(x**2 + y**2))
        result[index] = color[:, None, None] * stripes
    grown = 1 - math.exp(-step / 120)
    return (grown * result + (1 - grown) * random.normal(0, 0.5, result.shape)).astype(np.float32)


def _pictures() -> np.ndarray:
    """Eight pictures (8, 32, 32, 3) of the shapes they are named after."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    radius = np.hypot(x, y)
    shapes = (
        radius < 0.6, np.maximum(abs(x), abs(y)) < 0.55, (y < 0.5) & (y > 2 * abs(x) - 0.7),
        radius < 0.45 + 0.2 * np.cos(5 * np.arctan2(y, x)), (abs(x) < 0.2) | (abs(y) < 0.2),
        abs(radius - 0.5) < 0.15, np.sin(9 * x) > 0, (np.sin(9 * x) > 0.4) & (np.sin(9 * y) > 0.4),
    )  # fmt: skip
    colors = np.random.default_rng(5).integers(90, 255, (8, 3))
    pictures = np.full((8, 32, 32, 3), 46, np.uint8)
    for picture, shape, color in zip(pictures, shapes, colors, strict=True):
        picture[shape] = color
    return pictures


def _predictions(step: int, sick: float, random: np.random.Generator) -> np.ndarray:
    """Top three of each picture (8, 3, 2): class and probability."""
    result = np.zeros((8, 3, 2), np.float32)
    sure = (0.12 + 0.8 * (1 - math.exp(-step / 150))) * (1 - sick) + 0.11 * sick
    for index in range(8):
        order = [index, *random.permutation([c for c in range(10) if c != index])[:2]]
        if random.random() > sure + 0.1:
            order[0], order[1] = order[1], order[0]
        rest = (1 - sure) / 3
        result[index] = [(order[0], max(sure, rest)), (order[1], rest), (order[2], rest * 0.6)]
    return result


def _write_sweep(recorder: Recorder) -> None:
    random = np.random.default_rng(2)
    sweep = recorder.start_run("sweep", "lr-sweep")
    for rate in np.geomspace(1e-5, 3, 12).tolist():
        for seed in (0, 1, 2):
            trial = recorder.start_run(
                "trial",
                f"rate {rate:.3g}, seed {seed}",
                config={"optimizer": {"lr": rate}, "train": {"seed": seed}},
                parent=sweep.id,
            )
            at = np.arange(60)
            learned = 1.6 / (1 + (0.02 / rate) ** 1.2) * (1 - np.exp(-at / 15))
            loss = 2.3 - learned + random.normal(0, 0.04, 60) + (max(rate - 0.12, 0) * at / 12)
            trial.group(["train/loss", "train/lr"]).extend(at, np.stack([loss, np.full(60, rate)], 1))
            diverged = rate > 0.8
            trial.finish("stopped" if diverged else "finished", "diverged: the loss grew" if diverged else None)
    sweep.event("sweep", None, suggestion={"lr": 0.05, "low": 0.01, "high": 0.12, "why": "lowest loss with a margin"})
    sweep.finish()


def diagnoses_of(run: int, sick_at: int, steps: int, layers: int) -> Sequence[Diagnosis]:
    """A rate that is too high with what follows from it, and a note."""
    picked = f"conv{max(layers // 2, 1)}"
    return (
        Diagnosis(
            "learning-rate-too-high", "error", "Learning rate too high",
            f"Loss is 7.41 at step {sick_at + 16}; it began at 2.32. Updates are 3 % of the weights in conv1 and conv2 "
            "(0.1 % is usual).",
            run, None, sick_at, steps - 1, {"loss": 7.41, "first_loss": 2.32, "update_ratio": 0.031},
            remedies=(Remedy("Use a tenth of the rate: 3.2e-2 instead of 3.2e-1.", {"optimizer.lr": 0.032}),),
        ),
        Diagnosis(
            "loss-diverged", "error", "Loss diverged",
            f"More than 3 × the first loss since step {sick_at + 12}. A consequence of the rate.",
            run, None, sick_at + 12, steps - 1, {"loss": 7.4}, "learning-rate-too-high",
        ),
        Diagnosis(
            "dead-relu", "warning", "Dead ReLUs",
            "36 of 64 units are silent on every picture. Probably another consequence.",
            run, picked, sick_at + 14, steps - 1, {"share": 0.56},
            remedies=(Remedy("Lower the rate, or start again from a checkpoint."),),
        ),
        Diagnosis(
            "device-idle", "info", "A GPU is there and unused",
            "This run is on the processor; the GPU would be about 30 × faster.",
            run, None, 0, steps - 1, {},
        ),
    )  # fmt: skip


def make_large(path: Path, *, steps: int, series: int) -> Path:
    """A run of many steps: `train/loss` and the gradient and update norms of `series` / 2 layers."""
    layers = series // 2
    random = np.random.default_rng(1)
    with Recorder.create(path, overwrite=True) as recorder:
        run = recorder.start_run("train", config=_config(), info=info_of(layers, steps))
        names = [f"conv{index + 1}.weight" for index in range(layers)]
        losses = run.group(["train/loss", "train/lr", "time/wall"])
        gradients = run.group([f"gradient/{name}/norm" for name in names])
        updates = run.group([f"update/{name}/ratio" for name in names])
        for begin in range(0, steps, 8192):
            at = np.arange(begin, min(begin + 8192, steps))
            loss = 0.5 + 2 * np.exp(-at / (steps / 5)) + random.normal(0, 0.05, len(at))
            losses.extend(at, np.stack([loss, np.full(len(at), 0.1), at * 0.01], 1))
            noise = 10.0 ** (-2 + 0.3 * random.normal(size=(len(at), layers)))
            gradients.extend(at, noise)
            updates.extend(at, noise / 10)
        for step in range(0, steps, max(steps // 20, 1)):
            _write_blobs(run, step, 0.0, layers, random, bad=False)
        run.finish()
    return path
