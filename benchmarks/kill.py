"""Kills a recording process again and again at random moments, and counts the steps that were lost: none may be.

python benchmarks/kill.py [--kills 200]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "sessions"))

from convdebug_sessions import Session  # noqa: E402

CHILD = ROOT / "tests" / "sessions" / "endless_child.py"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    kills = arguments.parse_args().kills
    lost, steps = 0, 0
    for turn in range(kills):
        with tempfile.TemporaryDirectory() as folder:
            said, found = kill_one(Path(folder) / "run.convdebug", random.Random(turn).uniform(0.0, 0.5))
        lost += max(0, said + 1 - found)
        steps += found
    print(f"{kills} kills, {steps} steps recorded, {lost} steps lost")
    sys.exit(1 if lost else 0)


def kill_one(path: Path, after_s: float) -> tuple[int, int]:
    """The last step that the child had said, and how many steps the session holds."""
    words = path.with_suffix(".said")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sessions")}
    with words.open("wb") as file:
        child = subprocess.Popen([sys.executable, str(CHILD), str(path), "20"], stdout=file, env=environment)
    while not words.stat().st_size:
        time.sleep(0.005)
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    child.wait()
    said = words.read_bytes()
    with Session.open(path) as session:
        assert session.run().status == "killed"
        steps, _ = session.series("train/loss")
    return int.from_bytes(said[len(said) // 8 * 8 - 8 :][:8], "little"), len(steps)


if __name__ == "__main__":
    main()
