"""What `convdebug run` costs a script: the same script bare, bare once more, and watched, in turns of twenty steps.

    python benchmarks/run.py [--steps 400] [--rounds 3] [--threads 1] [--only conv]

The processes live side by side and only one of them steps at a time, so that whatever else the machine does falls on
all. The second bare one is the control: two processes of the same program differ by some percent, for where their
memory happens to lie. Wall time and the training thread's processor time (which other programs disturb less), over all
steps of a run from its first one on, and over all but the first turn, which holds what is done once. The watched one is
compared with the mean of both bare ones, in sums and turn by turn (the middle one, which no single turn moves).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TURN = 20
SCRIPTS = {
    "conv": """
net = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
    nn.Flatten(), nn.Linear(64, 10),
)
x = torch.randn(64, 3, 32, 32)
""",
    "transformer": """
layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.encoder = nn.Linear(24, 48), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, 10)
    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(1))
net = Net()
x = torch.randn(80, 20, 24)
""",
}
BEGIN = """
import os, time, torch
from torch import nn
torch.manual_seed(0)
reports, turns, steps = int(os.environ["REPORTS"]), int(os.environ["TURNS"]), int(os.environ["STEPS"])
"""
LOOP = f"""
y = torch.arange(len(x)) % 10
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for step in range(steps):
    if step % {TURN} == 0:
        os.read(turns, 1)
        wall, processor = time.perf_counter(), time.thread_time()
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    if step % {TURN} == {TURN - 1}:
        os.write(reports, f"{{time.perf_counter() - wall}} {{time.thread_time() - processor}}\\n".encode())
"""


@dataclass(frozen=True)
class Way:
    """A script under way, and the two pipes by which it takes turns."""

    process: subprocess.Popen[bytes]
    turns: int
    reports: int

    def turn(self) -> tuple[float, float]:
        """Seconds of wall and of processor that the next steps took."""
        os.write(self.turns, b".")
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self.reports, 100)
            if not part:
                raise SystemExit(f"a script ended early: exit code {self.process.wait()}")
            line += part
        wall, processor = line.split()
        return float(wall), float(processor)


def started(command: list[str], script: Path, options: argparse.Namespace) -> Way:
    turns, give_turn = os.pipe()
    reports, tell = os.pipe()
    places = os.pathsep.join(str(ROOT / part) for part in ("", "gui", "sessions"))
    own = {"REPORTS": str(tell), "TURNS": str(turns), "STEPS": str(options.steps), "PYTHONPATH": places}
    own |= {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    process = subprocess.Popen(
        [sys.executable, *command, str(script)],
        env=os.environ | own,
        pass_fds=(turns, tell),
        cwd=script.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(turns)
    os.close(tell)
    return Way(process, give_turn, reports)


def compared(script: Path, options: argparse.Namespace, round_number: int) -> list[list[tuple[float, float]]]:
    """Seconds of each turn: of the bare script, of the same once more, of the watched one."""
    session = script.parent / f"{script.stem}-{round_number}.convdebug"
    commands = [[], [], ["-m", "convdebug", "run", "--session", str(session)]]
    ways = [started(command, script, options) for command in commands]
    taken: list[list[tuple[float, float]]] = [[] for _ in ways]
    for turn in range(options.steps // TURN):
        for which in range(3):
            taken[(which + turn) % 3].append(ways[(which + turn) % 3].turn())
    for way in ways:
        os.close(way.turns)
        os.close(way.reports)
        way.process.wait()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(SCRIPTS))
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each process; 0: as many as torch takes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SCRIPTS.items():
            if options.only not in (None, name):
                continue
            script = Path(folder) / f"{name}.py"
            script.write_text(BEGIN + text + LOOP)
            print(f"{name}: {options.steps} steps, {options.rounds} rounds", flush=True)
            report([compared(script, options, number) for number in range(options.rounds)])


def report(rounds: list[list[list[tuple[float, float]]]]) -> None:
    bare_ms = [1000 * wall / TURN for bare, _again, _watched in rounds for wall, _processor in bare]
    print(f"  bare step {statistics.median(bare_ms):.1f} ms (median)")
    for name, which, others in (("watched", 2, (0, 1)), ("bare once more", 1, (0,))):
        for what, first in (("all steps", 0), ("without the first twenty", 1)):
            ratios = [[_ratio(ways, which, others, first, kind) for kind in (0, 1)] for ways in rounds]
            wall, processor = (statistics.median(each[kind] for each in ratios) for kind in (0, 1))
            spread = ", ".join(f"{each[0]:.3f}" for each in ratios)
            print(f"  {name + ', ' + what:40} wall {wall:.3f} x ({spread}), processor {processor:.3f} x")
        middle = [statistics.median(_of_turns(rounds, which, others, kind)) for kind in (0, 1)]
        print(f"  {name + ', the middle one of all turns':40} wall {middle[0]:.3f} x, processor {middle[1]:.3f} x")


def _ratio(ways: list[list[tuple[float, float]]], which: int, others: tuple[int, ...], first: int, kind: int) -> float:
    """The seconds of all turns from `first` on, over the mean of the others' seconds."""
    one, *rest = (sum(turn[kind] for turn in ways[each][first:]) for each in (which, *others))
    return one / statistics.mean(rest)


def _of_turns(
    rounds: list[list[list[tuple[float, float]]]], which: int, others: tuple[int, ...], kind: int
) -> list[float]:
    """The same of each turn by itself: what disturbs a few turns does not move their middle."""
    return [
        ways[which][turn][kind] / statistics.mean(ways[each][turn][kind] for each in others)
        for ways in rounds
        for turn in range(len(ways[which]))
    ]


if __name__ == "__main__":
    main()
