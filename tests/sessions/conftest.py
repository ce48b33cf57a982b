"""Sessions for the tests of the recording, and children that record until they are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "endless_child.py"


@pytest.fixture
def path(tmp_path):
    """Where a session is to be written."""
    return tmp_path / "run.convdebug"


class Child:
    """A process that records, and says each step in a file once it was handed over."""

    def __init__(self, path: Path, width: int = 20) -> None:
        self._said = path.with_suffix(".said")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "sessions")}
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(CHILD), str(path), str(width)], stdout=said, env=environment
            )
        while not self._said.stat().st_size and self.process.poll() is None:
            time.sleep(0.005)

    def kill(self) -> int:
        """SIGKILL; gives the last step that the child had said."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        said = self._said.read_bytes()
        self._said.unlink()
        return int.from_bytes(said[len(said) // 8 * 8 - 8 :][:8], "little")


@pytest.fixture
def start_child():
    """Starts recording children; those still alive at the end are killed."""
    children: list[Child] = []

    def start(path: Path, width: int = 20) -> Child:
        children.append(Child(path, width))
        return children[-1]

    yield start
    for child in children:
        child.process.kill()
        child.process.wait()
