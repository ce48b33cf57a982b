"""The engine processes of a window, by the session that each writes, and the wait for the first run of one."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from convdebug_gui.engine_process import EngineProcess
from convdebug_sessions import Session, SessionError

WAIT_MS = 60
TRAININGS = ("train", "watch", "run", "branch")


class Engines(dict[Path, EngineProcess]):
    """Those at work."""

    def take_out(self, engine: object) -> Path | None:
        """The session of an engine that has ended, which is forgotten here; None where it was already."""
        path = next((path for path, each in self.items() if each is engine), None)
        if path is not None:
            self.pop(path).deleteLater()
        return path

    def kill(self) -> None:
        """End all of them at once."""
        for engine in self.values():
            engine.kill()
        self.clear()

    def let_go(self) -> None:
        """Leave all of them running on their own."""
        for engine in self.values():
            engine.let_go()
        self.clear()


class FirstRun(QObject):
    """Waits for a run more than there is in a session: an engine takes a while to load."""

    there = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path: Path | None = None
        self._before = 0
        self._timer = QTimer(self)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self._look)

    def expect(self, path: Path) -> None:
        """Count what there is before the engine starts."""
        self._path, self._before = path, training_count(path)

    def wait(self) -> None:
        """From now on look; `there` comes once."""
        self._timer.start()

    def stop(self) -> None:
        """Wait no longer."""
        self._timer.stop()

    @property
    def is_there(self) -> bool:
        """Whether the session holds it."""
        return self._path is not None and training_count(self._path) > self._before

    def _look(self) -> None:
        if self.is_there:
            self.stop()
            self.there.emit(self._path)


def training_count(path: Path) -> int:
    """How many trainings a session holds; none where it cannot be read (yet)."""
    if not path.exists():
        return 0
    try:
        with Session.open(path) as session:
            return sum(run.kind in TRAININGS for run in session.runs)
    except SessionError:
        return 0
