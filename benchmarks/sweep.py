"""How good the sweep's suggestion is: three networks trained at it, and at every rate of a fine grid around it.

    python benchmarks/sweep.py [--steps 240] [--seeds 2] [--only convnetjs]

Prints for each network the validation accuracy (mean over the seeds, 1,500 pictures of shapes10) at each rate of the
grid (four to a factor of ten), at the suggestion, and how far that stays behind the best, in points.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sessions")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from convdebug.config import RunConfig  # noqa: E402
from convdebug.learner import Learner  # noqa: E402
from convdebug.search.short_training import learner_of, seed_all  # noqa: E402
from convdebug.search.sweep import lr_sweep  # noqa: E402
from convdebug.target import Target  # noqa: E402
from convdebug_sessions import Recorder  # noqa: E402

CPU = torch.device("cpu")
NETWORKS = {
    "two-layer": {"model.name": "two-layer", "optimizer.name": "sgd"},
    "convnetjs": {"model.name": "convnetjs", "optimizer.name": "adam"},
    "vgg-bn": {"model.name": "vgg-bn", "optimizer.name": "sgd", "optimizer.momentum": 0.9},
}
DATA = {"data.name": "shapes10", "data.limit": 3000, "data.val_limit": 1500, "data.batch_size": 32}
GRID = np.geomspace(0.03, 30, 13)
"""In multiples of the suggestion."""


def target_of(network: str) -> Target:
    return Target.from_config(RunConfig().changed(**DATA, **NETWORKS[network]))


def accuracy(target: Target, rate: float, seeds: int, steps: int) -> float:
    """Mean over the seeds of the validation accuracy after so many steps at a constant rate."""
    found = []
    for seed in range(seeds):
        seed_all(seed)
        learner: Learner = learner_of(target, target.build(seed), CPU, rate)
        epochs = itertools.chain.from_iterable(target.batches("train", seed, epoch) for epoch in itertools.count())
        for batch in itertools.islice(epochs, steps):
            learner.step(batch)
        found.append(learner.evaluate(target.batches("val"))[1] or 0.0)
    return float(np.mean(found))


def measure(network: str, options: argparse.Namespace) -> None:
    target = target_of(network)
    with tempfile.TemporaryDirectory() as folder, Recorder.create(Path(folder) / "sweep.convdebug") as recorder:
        began = time.perf_counter()
        suggestion = lr_sweep(target, recorder).suggestion
        seconds = time.perf_counter() - began
    if suggestion.lr is None:
        print(f"{network}: no suggestion; {suggestion.why}")
        return
    print(f"{network}: {suggestion.lr:.3g} suggested in {seconds:.0f} s; {suggestion.why}", flush=True)
    mine = accuracy(target, suggestion.lr, options.seeds, options.steps)
    grid = {
        suggestion.lr * factor: accuracy(target, suggestion.lr * factor, options.seeds, options.steps)
        for factor in GRID
    }
    print("  " + "  ".join(f"{rate:.2g}: {each:.3f}" for rate, each in grid.items()))
    best = max(grid, key=lambda rate: grid[rate])
    print(f"  suggested {mine:.3f}, best {grid[best]:.3f} at {best:.2g}: {100 * (grid[best] - mine):.1f} points behind")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=list(NETWORKS))
    options = parser.parse_args()
    for network in [options.only] if options.only else NETWORKS:
        measure(network, options)


if __name__ == "__main__":
    main()
