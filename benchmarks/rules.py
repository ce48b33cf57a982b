"""Whether the rules keep up: a saved session of many steps at once, and one that grows at 300 steps a second.

    python benchmarks/rules.py [--steps 100000] [--layers 60] [--rate 300] [--seconds 30] [--profile]

The session is synthetic, with all series that a training of so many layers records. Seconds are processor time of the
diagnosing process. Live, `convdebug diagnose --follow` runs beside a writer; its share of one core is what it used
divided by how long it ran. Last it is asked whether the live opinions are those of a later diagnosis.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sessions")]

from convdebug.rules import diagnose  # noqa: E402
from convdebug_sessions import Recorder, RunRecorder, Session  # noqa: E402

BLOCK = 5_000
TICK_S = 0.05


def groups(layers: list[str]) -> list[list[str]]:
    """The series of a training, as the instruments group them."""
    parameters = parameters_of(layers)
    ratios, norms = [f"update/{name}/ratio" for name in parameters], [f"weight/{name}/norm" for name in parameters]
    return [
        ["train/loss", "train/lr", "time/wall"],
        ["train/accuracy"],
        ["input/mean", "input/std", "input/min", "input/max"],
        ["label/entropy"],
        ["output/min", "output/max", "output/row_sum", "output/batch_std"],
        ["gradient/overlap"],
        [f"time/{phase}" for phase in ("data", "forward", "backward", "optimizer", "watch")],
        [f"activation/{layer}/{what}" for layer in layers for what in ("mean", "std", "zero_fraction")],
        [f"unit/{layer}/dead" for layer in layers],
        [f"unit/{layer}/similarity" for layer in layers],
        [f"gradient/{name}/norm" for name in parameters],
        [*ratios, *norms],
    ]


def parameters_of(layers: list[str]) -> list[str]:
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def start(recorder: Recorder, layers: list[str]) -> RunRecorder:
    """A run that knows its layers and parameters."""
    shapes = [[9, 9] if name.endswith("weight") else [9] for name in parameters_of(layers)]
    info = {
        "layers": [{"name": layer, "kind": "ReLU", "activation": "relu"} for layer in layers],
        "parameters": [
            {"name": name, "shape": shape, "trainable": True, "in_optimizer": True}
            for name, shape in zip(parameters_of(layers), shapes, strict=True)
        ],
        "num_classes": 10,
        "batch_size": 64,
        "loss": {"name": "cross_entropy"},
    }
    return recorder.start_run("train", info=info)


def write(run: RunRecorder, series: list[list[str]], first: int, count: int, ill: bool = False) -> None:
    """`count` rows of every series: a loss that falls slowly, or one thrown up by large updates."""
    random, steps = np.random.default_rng(first), np.arange(first, first + count)
    for names in series:
        rows = random.random((count, len(names)), np.float32) * 0.002
        if names[0] == "train/loss":
            rows[:, 0] += 50 if ill else 0.4 + 1.9 * np.exp(-steps / 20_000)
        elif ill and names[0].startswith("update/"):
            rows[:, : len(names) // 2] += 0.5
        run.group(names).extend(steps, rows)


def saved(path: Path, layers: list[str], steps: int, profile: bool) -> None:
    """Diagnose a finished session."""
    series = groups(layers)
    with Recorder.create(path) as recorder:
        run = start(recorder, layers)
        for first in range(0, steps, BLOCK):
            write(run, series, first, min(BLOCK, steps - first))
        run.finish()
    names = sum(map(len, series))
    print(f"saved: {steps} steps × {names} series ({len(layers)} layers), {path.stat().st_size / 1e6:.0f} MB")
    profiler = cProfile.Profile() if profile else None
    wall, used = time.perf_counter(), time.process_time()
    with Session.open(path) as session:
        if profiler is not None:
            profiler.enable()
        found = diagnose(session)
        if profiler is not None:
            profiler.disable()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    print(f"  diagnosed in {used:.2f} s of processor, {wall:.2f} s by the clock (wanted: 5); {len(found)} diagnoses")
    if profiler is not None:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(35)


def live(path: Path, layers: list[str], rate: int, seconds: float, before: int) -> None:
    """Follow a session that grows at `rate` steps a second, after `before` steps that were there already."""
    series = groups(layers)
    with Recorder.create(path) as recorder:
        run = start(recorder, layers)
        for first in range(0, before, BLOCK):
            write(run, series, first, min(BLOCK, before - first))
        command = [sys.executable, "-m", "convdebug", "diagnose", "--follow", str(path)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "sessions")])
        begun, before_it = time.perf_counter(), used_by_children()
        child = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL)
        count = grow(run, series, rate, seconds, before)
        taken = time.perf_counter() - begun
        run.finish()
    child.wait()
    used = used_by_children() - before_it
    print(f"live: {count} steps at {count / taken:.0f} a second beside {before} earlier ones, {taken:.0f} s")
    print(f"  --follow used {used:.1f} s of processor: {used / taken:.0%} of a core (wanted: 50 %)", end="; ")
    with Session.open(path) as session:
        names = ", ".join(each.rule for each in session.diagnoses())
        same = [each.as_json() for each in session.diagnoses()] == [each.as_json() for each in diagnose(session)]
        print(f"its last opinions {'are those' if same else 'DIFFER from those'} of a later diagnosis ({names})")


def used_by_children() -> float:
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def grow(run: RunRecorder, series: list[list[str]], rate: int, seconds: float, first: int) -> int:
    """Write at an even pace, half of the time healthy and then ill; returns how many steps were written."""
    begun, written = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        due = int(passed * rate) - written
        if due:
            write(run, series, first + written, due, ill=passed > seconds / 2)
            written += due
        time.sleep(TICK_S)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=60)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--before", type=int, nargs="*", default=[0, 50_000])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    layers = [f"layer{number}" for number in range(options.layers)]
    with tempfile.TemporaryDirectory() as folder:
        saved(Path(folder) / "saved.convdebug", layers, options.steps, options.profile)
        for before in options.before if options.seconds else []:
            live(Path(folder) / f"live-{before}.convdebug", layers, options.rate, options.seconds, before)


if __name__ == "__main__":
    main()
