"""What the tests of the window share: the look, private settings, a real engine, and that nothing is left alive."""

import contextlib
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent, QSettings
from PyQt6.QtWidgets import QApplication

ROOT = Path(__file__).resolve().parents[2]
ENGINE_PATH = os.environ.get("PYTHONPATH") or os.pathsep.join(str(ROOT / part) for part in ("", "gui", "sessions"))
TINY = {
    "data.limit": 200,
    "data.val_limit": 50,
    "data.batch_size": 20,
    "model.name": "two-layer",
    "train.steps": 30,
}
SLOW = {**TINY, "train.steps": 1_000_000}


@pytest.fixture(autouse=True)
def _engine_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ENGINE_PATH)


@pytest.fixture
def settings(tmp_path):
    """Settings of this test alone."""
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def look(qapp, settings):
    """The dark look, installed anew."""
    from convdebug_gui import theme

    qapp.setQuitOnLastWindowClosed(False)
    look = theme.install(qapp, settings)
    look.choose("dark")
    return look


@pytest.fixture(scope="session")
def engine_words():
    """What the real engine says of itself."""
    environment = {**os.environ, "PYTHONPATH": ENGINE_PATH}
    command = [sys.executable, "-m", "convdebug", "describe", "--json"]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


@pytest.fixture
def description(qapp, tmp_path, engine_words):
    """The engine's description, told already."""
    from convdebug_gui.description import Description

    told = Description(folder=tmp_path / "cache")
    told.data = engine_words
    return told


@pytest.fixture
def tiny():
    """Values of a run that ends within a second or two."""
    return dict(TINY)


@pytest.fixture
def slow():
    """Values of a run that goes on until it is stopped."""
    return dict(SLOW)


def children() -> list[int]:
    """The processes that this one started and that are still there."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        return []
    found: list[int] = []
    for task in tasks.iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left_alive(request):
    before = set(children())
    gc.freeze()  # what was there before is not walked again
    yield
    app = QApplication.instance()
    if app is None:
        gc.unfreeze()
        return
    for widget in QApplication.topLevelWidgets():
        widget.deleteLater()
    gc.collect()
    for _round in range(3):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        app.processEvents()
    gc.unfreeze()
    shown = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    assert not shown, f"still on screen: {shown}"
    left = set(children()) - before
    assert not left, f"processes still alive: {left}"
