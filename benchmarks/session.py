"""How soon a session is on screen: opening it, the loss in 1000 buckets, and a heat map of all series.

python benchmarks/session.py [--series 200] [--steps 1000 100000 1000000]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "sessions"))

from convdebug_sessions import Recorder, Session, library

BLOCK = 10000
ROUNDS = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--series", type=int, default=200)
    arguments.add_argument("--steps", type=int, nargs="*", default=[1000, 100_000, 1_000_000])
    chosen = arguments.parse_args()
    for steps in chosen.steps:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "run.convdebug", steps, chosen.series)


def measure(path: Path, steps: int, series: int) -> None:
    names = [f"gradient/{index}/norm" for index in range(series)]
    begun = time.perf_counter()
    record(path, steps, names)
    written = time.perf_counter() - begun
    size = path.stat().st_size
    print(f"{steps} steps × {series} series: {size / 1e6:.0f} MB, {size / steps / series:.2f} bytes a value,", end=" ")
    print(f"written in {written:.1f} s ({written / steps * 1e6:.1f} µs a step)")
    show("open, loss and heat: first drawing", lambda: first_drawing(path, names), rounds=1)
    show("the same, again", lambda: first_drawing(path, names))
    show("open", lambda: Session.open(path).close())
    show("the line in the library", lambda: library(path.parent))
    with Session.open(path) as session:
        session.buckets("train/loss")
        show("loss, whole", lambda: session.buckets("train/loss"))
        show("loss, a tenth", lambda: session.buckets("train/loss", first=steps // 2, last=steps // 2 + steps // 10))
        show(
            "loss, a hundredth", lambda: session.buckets("train/loss", first=steps // 2, last=steps // 2 + steps // 100)
        )
        show("one of the norms, whole", lambda: session.buckets(names[7]))
        show("heat of all, whole", lambda: session.heat(names))
        show("heat of all, a tenth", lambda: session.heat(names, first=steps // 2, last=steps // 2 + steps // 10))
        show("heat of all, a hundredth", lambda: session.heat(names, first=steps // 2, last=steps // 2 + steps // 100))
        show("every value of a series", lambda: session.series(names[7]))
        show("values of all at a step", lambda: session.matrix(names, first=steps // 3, last=steps // 3))


def record(path: Path, steps: int, names: list[str]) -> None:
    random = np.random.default_rng(0)
    norms = random.standard_normal((BLOCK, len(names))).astype(np.float32)
    losses = random.standard_normal((BLOCK, 3)).astype(np.float32)
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        loss, norm = run.group(["train/loss", "train/lr", "time/wall"]), run.group(names)
        for first in range(0, steps, BLOCK):
            count = min(BLOCK, steps - first)
            loss.extend(np.arange(first, first + count), losses[:count])
            norm.extend(np.arange(first, first + count), norms[:count])
        run.finish()


def first_drawing(path: Path, names: list[str]) -> None:
    with Session.open(path) as session:
        session.buckets("train/loss")
        session.heat(names)


def show(what: str, work: Callable[[], object], rounds: int = ROUNDS) -> None:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    print(f"    {what:36}{np.median(taken) * 1e3:9.2f} ms", flush=True)


if __name__ == "__main__":
    main()
