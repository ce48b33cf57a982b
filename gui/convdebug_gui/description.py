"""What the engine says of itself (`describe --json`), asked for once and kept on disk, so that forms draw at once."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from PyQt6.QtCore import QObject, pyqtSignal

from convdebug_gui.engine_process import EngineProcess, Outcome


class Description(QObject):
    """The engine's schema, catalogue, checks and rules; `ready` when there is something new to read."""

    ready = pyqtSignal()
    failed = pyqtSignal(object)

    def __init__(
        self, parent: QObject | None = None, folder: Path | None = None, program: str = sys.executable
    ) -> None:
        super().__init__(parent)
        self.data: dict[str, Any] = {}
        self._folder = folder if folder is not None else user_cache_path("convdebug")
        self._engine = EngineProcess(self, program)
        self._engine.finished.connect(self._on_finished)

    @property
    def asking(self) -> bool:
        return self._engine.running

    def load(self) -> None:
        """Take what is kept for this very engine, else ask it."""
        kept = self._kept()
        if kept is not None:
            self.data = kept
            self.ready.emit()
        else:
            self.ask()

    def ask(self) -> None:
        """Start the engine to describe itself."""
        if not self._engine.running:
            self._engine.start(["describe", "--json"])

    def close(self) -> None:
        self._engine.kill()

    def _file(self) -> Path:
        return self._folder / "describe.json"

    def _kept(self) -> dict[str, Any] | None:
        try:
            kept = json.loads(self._file().read_text(encoding="utf-8"))
            return kept["description"] if kept["engine"] == fingerprint() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # nothing kept, or not by us: the engine is asked

    def _on_finished(self, outcome: Outcome) -> None:
        try:
            data = json.loads(self._engine.output)
        except ValueError:
            self.failed.emit(outcome)
            return
        self.data = data
        self._keep()
        self.ready.emit()

    def _keep(self) -> None:
        text = json.dumps({"engine": fingerprint(), "description": self.data})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._file().with_suffix(f".{os.getpid()}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._file())
        except OSError:
            return  # a cache that cannot be written is asked for again next time


def fingerprint() -> str:
    """Which engine this is: the interpreter, and the newest change of its sources (found without importing it)."""
    spec = find_spec("convdebug")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    newest = max((file.stat().st_mtime_ns for place in places for file in Path(place).rglob("*.py")), default=0)
    return f"{sys.executable} {sys.version.split()[0]} {places} {newest}"
