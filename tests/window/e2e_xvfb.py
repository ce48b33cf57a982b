"""One end-to-end run in a real window under Xvfb, by mouse and keyboard alone: start, change the rate, stop, close.

python tests/window/e2e_xvfb.py [FOLDER]   needs Xvfb and xdotool; pictures of each state go into the folder.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "sessions")]

from convdebug_sessions import Session  # noqa: E402

SIZE = "1440x900"


def main(arguments: list[str]) -> int:
    for tool in ("Xvfb", "xdotool"):
        if shutil.which(tool) is None:
            print(f"{tool} is not here: apt-get install -y xvfb xdotool", file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as place:
        return drive(Path(place), Path(arguments[0]) if arguments else None)


def drive(place: Path, pictures: Path | None) -> int:
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{SIZE}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    display = f":{server.stdout.readline().strip()}"  # a free one, told as soon as it can be used
    environment = {
        **os.environ,
        "DISPLAY": display,
        "QT_QPA_PLATFORM": "xcb",
        "CONVDEBUG_SESSIONS": str(place / "sessions"),
        "XDG_CONFIG_HOME": str(place / "config"),
        "XDG_CACHE_HOME": str(place / "cache"),
        "PYTHONPATH": os.environ.get("PYTHONPATH")
        or os.pathsep.join(str(ROOT / part) for part in ("", "gui", "sessions")),
    }
    window = subprocess.Popen([sys.executable, "-m", "convdebug_gui"], env=environment)
    try:
        person = Person(environment, pictures)
        person.train_and_change_the_rate(place / "sessions")
        person.keys("ctrl+q")
        code = window.wait(30)
        print("the window closed with", code)
        return code
    finally:
        for process in (window, server):
            if process.poll() is None:
                process.terminate()
                process.wait(10)


class Person:
    """Looks at the screen and uses mouse and keyboard, nothing else."""

    def __init__(self, environment: dict[str, str], pictures: Path | None) -> None:
        self.environment, self.pictures = environment, pictures

    def tool(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def window(self) -> str:
        words = ["xdotool", "search", "--onlyvisible", "--name", "^convdebug"]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip().partition("\n")[0]

    def keys(self, *keys: str) -> None:
        self.tool("key", "--delay", "60", *keys)

    def click(self, x: int, y: int) -> None:
        self.tool("mousemove", str(x), str(y), "click", "1")
        time.sleep(0.3)

    def see(self, name: str) -> None:
        if self.pictures is not None and shutil.which("import"):
            self.pictures.mkdir(parents=True, exist_ok=True)
            file = str(self.pictures / f"{name}.png")
            subprocess.run(["import", "-window", "root", file], env=self.environment, check=True)

    def train_and_change_the_rate(self, folder: Path) -> None:
        window = wait(self.window, "the window")
        self.tool("windowmove", window, "0", "0")
        self.tool("windowsize", window, "1440", "900")
        self.tool("windowfocus", window)
        time.sleep(2)
        self.see("e2e-welcome")
        self.click(220, 200)  # the card New run
        time.sleep(3)
        self.see("e2e-new-run")
        self.keys("ctrl+r")
        path = wait(lambda: next(folder.glob("*.convdebug"), None), "a session")
        wait(lambda: facts(path)[0] > 10, "the tenth step")
        self.see("e2e-running")
        self.keys("ctrl+p")
        wait(lambda: "paused" in facts(path)[1], "the pause")
        time.sleep(0.5)
        steps = facts(path)[0]
        self.keys("ctrl+period")
        wait(lambda: facts(path)[0] == steps + 1, "the single step")
        self.type_rate("0.002")
        self.keys("ctrl+p")
        wait(lambda: 0.002 in wished_rates(path), "the rate changed while paused")
        self.type_rate("0.003")
        wait(lambda: 0.003 in wished_rates(path), "the rate changed while running")
        steps = facts(path)[0]
        wait(lambda: facts(path)[0] > steps, "a step with it")
        self.see("e2e-changed")
        self.keys("ctrl+shift+s")
        wait(lambda: facts(path)[2] == "stopped", "the end")
        time.sleep(1.5)
        self.see("e2e-stopped")

    def type_rate(self, rate: str) -> None:
        self.keys("ctrl+l")
        self.keys("ctrl+a")
        self.tool("type", "--delay", "60", rate)
        self.keys("Return")


def wished_rates(path: Path) -> list[float]:
    """The rates that the run took over from the person, in order."""
    with Session.open(path) as session:
        changes = [event.data for event in session.events(session.run().id, {"change"})]
    return [each["new"] for each in changes if each["key"] == "optimizer.lr" and each["by"] != "schedule"]


def facts(path: Path) -> tuple[int, set[str], str]:
    """Steps, kinds of events and status of the run."""
    try:
        with Session.open(path) as session:
            run = session.run()
            return run.steps, {event.kind for event in session.events(run.id)}, run.status
    except Exception:
        return 0, set(), ""


def wait(found, what: str, seconds: float = 90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            print("seen:", what, flush=True)
            return result
        time.sleep(0.1)
    raise SystemExit(f"waited {seconds:g} s in vain for {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
