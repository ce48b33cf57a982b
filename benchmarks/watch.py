"""What watching costs: the same training bare, watched by default, watched at every step, and with full histograms.

    python benchmarks/watch.py [--rounds 15] [--only six-conv]

Each way of training is a process of its own; they take turns, a few steps each, so that whatever else the machine
does falls on all of them. Printed are medians over the rounds of each round's ratio to the bare loop, in wall time
and in processor time (which other programs disturb less).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sessions")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import convdebug.watch  # noqa: E402

Step = Callable[[], None]


@dataclass(frozen=True)
class Workload:
    """A network, the shape of its batch, and how many steps one turn takes."""

    make: Callable[[], nn.Module]
    batch: tuple[int, ...]
    steps: int


def tiny_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def six_conv() -> nn.Module:
    """815 k parameters, 11.5 M activations at a batch of 64."""
    widths = [3, 64, 64, 128, 128, 192, 192]
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        if index % 2:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 10))


def resnet18() -> nn.Module:
    from torchvision.models import resnet18

    return resnet18(num_classes=10)


WORKLOADS = {
    "tiny-mlp": Workload(tiny_mlp, (128, 64), 500),
    "six-conv": Workload(six_conv, (64, 3, 32, 32), 3),
    "resnet18": Workload(resnet18, (16, 3, 32, 32), 4),
}


def training(workload: Workload, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], Any]]:
    """Model, optimizer, and a function that makes one step and returns the loss."""
    torch.manual_seed(0)
    model = workload.make().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs = torch.randn(workload.batch, device=device)
    labels = torch.randint(0, 10, workload.batch[:1], device=device)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


@contextmanager
def bare(workload: Workload, device: torch.device) -> Iterator[Step]:
    """The loop as people write it: the loss is read at every step."""
    _, _, step = training(workload, device)

    def turn() -> None:
        step().item() if device.type == "cpu" else step()

    yield turn


@contextmanager
def watched(workload: Workload, device: torch.device, every: int | None) -> Iterator[Step]:
    model, optimizer, step = training(workload, device)
    folder = Path(tempfile.mkdtemp(prefix="convdebug-bench-"))
    with convdebug.watch.watch(model, optimizer, session=folder / "run.convdebug", every=every) as watch:
        yield lambda: watch.step(step())


@contextmanager
def full_histograms(workload: Workload, device: torch.device) -> Iterator[Step]:
    """Histograms of all weights, gradients and activations at every step, in the way of TensorBoard's writer."""
    model, _, step = training(workload, device)
    edges = np.concatenate([-np.geomspace(1e-12, 1e20, 774)[::-1], [0], np.geomspace(1e-12, 1e20, 774)])
    outputs: list[torch.Tensor] = []
    for module in model.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(lambda _m, _i, output: outputs.append(output.detach()))

    def turn() -> None:
        outputs.clear()
        step()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        for tensor in [*outputs, *model.parameters(), *gradients]:
            np.histogram(tensor.detach().cpu().numpy().reshape(-1), bins=edges)

    yield turn


WAYS: dict[str, Callable[[Workload, torch.device], Any]] = {
    "bare": bare,
    "default": lambda workload, device: watched(workload, device, None),
    "every step": lambda workload, device: watched(workload, device, 1),
    "full histograms": full_histograms,
}


def child(connection: Connection, workload: str, way: str, device_name: str) -> None:
    """Take turns when told to, and answer with the seconds each took."""
    device = torch.device(device_name)
    with WAYS[way](WORKLOADS[workload], device) as step:
        for steps in iter(connection.recv, 0):
            started, used = time.perf_counter(), time.process_time()
            for _ in range(steps):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            connection.send(((time.perf_counter() - started) / steps, (time.process_time() - used) / steps))


def measure(workload: str, ways: list[str], rounds: int, device: str) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of a step in each turn, by way; the first two turns warm up and are not counted."""
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    for way in ways:
        ends[way], other = context.Pipe()
        processes.append(context.Process(target=child, args=(other, workload, way, device)))
        processes[-1].start()
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(rounds + 2):
        for way in ways if turn % 2 else ways[::-1]:
            fewer = 8 if way == "full histograms" and workload == "tiny-mlp" else 1
            steps = max(2, WORKLOADS[workload].steps // fewer)
            ends[way].send(steps)
            taken = ends[way].recv()
            if turn >= 2:
                seconds[way].append(taken)
    for way, process in zip(ways, processes, strict=True):
        ends[way].send(0)
        process.join()
    return seconds


def report(workload: str, seconds: dict[str, list[tuple[float, float]]]) -> None:
    bare = seconds.pop("bare")
    print(f"{workload}: bare step {statistics.median(wall for wall, _ in bare) * 1000:.2f} ms")
    for way, values in seconds.items():
        wall, used = (
            sorted(value[kind] / plain[kind] for value, plain in zip(values, bare, strict=True)) for kind in (0, 1)
        )
        quarter = len(wall) // 4
        spread = f"quartiles {wall[quarter]:.3f} to {wall[-1 - quarter]:.3f}"
        middle = f"wall {statistics.median(wall):.3f} x ({spread})"
        print(f"  {way:16} {middle}, processor {statistics.median(used):.3f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", choices=sorted(WORKLOADS), action="append")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for workload in options.only or WORKLOADS:
        ways = [way for way in WAYS if way in options.ways.split(",")]
        report(workload, measure(workload, ways, options.rounds, options.device))


if __name__ == "__main__":
    main()
