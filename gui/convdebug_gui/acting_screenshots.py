"""The states of the acting half for the pictures: welcome, form, live control, banners, guided checks."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QEvent, QSettings
from PyQt6.QtWidgets import QApplication, QWidget

from convdebug_gui.banner import CloseQuestion
from convdebug_gui.description import Description
from convdebug_gui.engine_process import outcome
from convdebug_gui.frame import Frame
from convdebug_gui.keys import KeysDialog
from convdebug_gui.live_control import State
from convdebug_gui.notices import of_outcome
from convdebug_gui.watch_dialog import WatchDialog
from convdebug_sessions import Recorder, Summary

TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 41, in forward
    return self.head(features)
RuntimeError: mat1 and mat2 shapes cannot be multiplied (128x512 and 2048x10)"""
NAMES = ("vgg-bn-shapes10", "two-layer-rate-1e6", "my-network", "resnet20-cifar10", "ten-layer-tanh", "nan-at-312")


def take(
    app: QApplication,
    settings: QSettings,
    folder: Path,
    session: Path,
    size: tuple[int, int],
    names: set[str] | None = None,
) -> dict[str, Any]:
    """A picture of each state (or of those named) in the look that is on, by name."""
    frame = made_frame(settings, folder, size)
    pictures = {}
    for name, prepare in STATES.items():
        if names is None or name in names:
            shown = prepare(frame, session, folder)
            _settle(app, frame)
            pictures[name] = (shown or frame).grab()
            if shown is not None:
                shown.close()
    put_away(app, frame)
    for recorder in _open_recorders:
        recorder.close()
    _open_recorders.clear()
    return pictures


def made_frame(settings: QSettings, folder: Path, size: tuple[int, int]) -> Frame:
    """A window of its own that knows what the engine can do, on its welcome page."""
    description = Description(folder=folder)
    description.data = engine_words()
    frame = Frame(settings, description)
    frame.resize(*size)
    frame.show()
    return frame


def put_away(app: QApplication, frame: Frame) -> None:
    """Close a window and forget it at once."""
    frame.close_down()
    frame.hide()
    frame.deleteLater()
    app.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    app.processEvents()


@cache
def engine_words() -> dict[str, Any]:
    """What the engine says of itself."""
    command = [sys.executable, "-m", "convdebug", "describe", "--json"]
    words: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return words


def _settle(app: QApplication, frame: Frame) -> None:
    for _round in range(4):
        app.processEvents()
        if frame.workbench is not None and frame.workbench.model.session is not None:
            frame.workbench.main.deck.draw_all()
    app.processEvents()


def _welcome_empty(frame: Frame, _session: Path, _folder: Path) -> None:
    frame.welcome.show_sessions([])


def _welcome(frame: Frame, _session: Path, _folder: Path) -> None:
    frame.welcome.show_sessions([_summary(index, name) for index, name in enumerate(NAMES)])


def _summary(index: int, name: str) -> Summary:
    severity = (None, "error", "warning", None, "error", "error")[index]
    status = ("finished", "finished", "running", "stopped", "killed", "crashed")[index]
    curve = tuple(2.3 * math.exp(-step / (12 + 6 * index)) + 0.06 * math.sin(step * 1.7) ** 2 for step in range(64))
    curve = curve[:40] + (math.nan,) * 24 if index == 5 else curve
    path, modified = Path(f"{name}.convdebug"), time.time() - 40 * 9**index
    return Summary(path, modified, 1, status, 9**index + 99, curve[-1], curve, severity)


def _form_errors(frame: Frame, _session: Path, _folder: Path) -> None:
    frame.new_run()
    form = frame.workbench.form if frame.workbench is not None else None
    assert form is not None
    form.rows["optimizer.lr"].editor.setText("1e-2x")  # type: ignore[attr-defined]
    form.rows["optimizer.momentum"].editor.setText("1.2")  # type: ignore[attr-defined]
    form.rows["model.name"].editor.setCurrentText("vgbn")  # type: ignore[attr-defined]


def _running(frame: Frame, _session: Path, _folder: Path) -> None:
    """A real training, a hundred steps on its way."""
    frame.new_run()
    bench = frame.workbench
    assert bench is not None
    bench.form.load({"data.limit": 2000, "data.val_limit": 200, "data.batch_size": 16, "train.epochs": 9})
    bench.run()
    _wait(lambda: bench.live.state == State.RUNNING and bench.model.run is not None and bench.model.run.steps > 100)


def _paused(frame: Frame, _session: Path, _folder: Path) -> None:
    assert frame.workbench is not None
    live = frame.workbench.live
    live.pause_or_continue()
    _wait(lambda: live.state == State.PAUSED)


def _wait(found: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        QApplication.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise TimeoutError("the engine did not get there")


def _crash(frame: Frame, session: Path, _folder: Path) -> None:
    if frame.workbench is not None:
        frame.workbench.close_engines()
    frame.open(session)
    assert frame.workbench is not None
    frame.workbench.banner.show_notice(of_outcome(outcome(3, False, TRACEBACK), session, 704))
    frame.workbench.banner.more.setChecked(True)


def _question(frame: Frame, _session: Path, _folder: Path) -> QWidget:
    question = CloseQuestion("vgg-bn · shapes10", "step 704 of 2 000", frame)
    question.open()
    return question


def _watch(frame: Frame, _session: Path, _folder: Path) -> QWidget:
    dialog = WatchDialog(frame)
    dialog.open()
    return dialog


def _keys(frame: Frame, session: Path, _folder: Path) -> QWidget:
    frame.open(session)
    dialog = KeysDialog(frame)
    dialog.open()
    return dialog


def _wizard(frame: Frame, _session: Path, _folder: Path) -> None:
    if frame.workbench is not None:
        frame.workbench.banner.dismiss()
    frame.check_model()


def _page(id: str) -> Callable[[Frame, Path, Path], None]:
    def show(frame: Frame, _session: Path, folder: Path) -> None:
        frame.check_model()
        wizard = frame.wizard
        assert wizard is not None
        if wizard.runs.path is None:
            wizard.path = wizard.runs.path = _made_checks(folder / "checks.convdebug", list(wizard.pages))
            wizard.runs.look()
        wizard.show_page(id)
        running = id == wizard.runs.running
        wizard.run_all.setEnabled(not running)
        wizard.stop_button.setEnabled(running)

    return show


def _summary_page(frame: Frame, _session: Path, folder: Path) -> QWidget:
    """All checks of a small network, run by the engine."""
    path = folder / "checked.convdebug"
    if not path.exists():
        command = [sys.executable, "-m", "convdebug", "check", "--budget", "40", "--session", str(path)]
        command += ["--set", "model.name=two-layer", "--set", "data.limit=2000", "--set", "data.val_limit=400"]
        subprocess.run(command, capture_output=True)
    checked = made_frame(frame.settings, folder, (frame.width(), frame.height()))
    checked.check_model()
    assert checked.wizard is not None
    checked.wizard.path = checked.wizard.runs.path = path
    checked.wizard.runs.look()
    checked.wizard.show_page("summary")
    QApplication.processEvents()
    return checked


def _made_checks(path: Path, ids: list[str]) -> Path:
    """A session in which the checks are on their way: one warning, one failure, one that runs."""
    path.unlink(missing_ok=True)
    recorder = Recorder.create(path)
    for id in ids[: ids.index("overfit-20")]:
        run = recorder.start_run("check", id)
        run.event("check", None, **_result(id))
        run.finish()
    run = recorder.start_run("check", "overfit-20")
    group = run.group(("train/loss",))
    for step in range(300):
        group.append(step, [2.3 * math.exp(-step / 60) * (1 + 0.2 * math.sin(step * 1.3))])
    run.event("progress", None, done=300, total=1000, text="its own optimizer")
    run.flush()
    _open_recorders.append(recorder)  # it stays live until the pictures are taken
    return path


_open_recorders: list[Recorder] = []


def _result(id: str) -> dict[str, Any]:
    if id != "initial-loss":
        return {"id": id, "status": "pass", "summary": "Everything is as it should be.", "seconds": 0.8}
    diagnosis = {
        "rule": "initial-loss-off",
        "title": "First loss is off",
        "severity": "warning",
        "message": "The first loss is 4.61, chance gives 2.303 (ln 10): the network is sure before it has learned.",
        "remedies": [{"text": "Scale the weights of the last layer down, or normalize the inputs."}],
    }
    return {
        "id": id,
        "status": "warn",
        "summary": "The first loss is 4.612, twice what chance gives.",
        "measured": {"initial_loss": 4.612, "classes": 10},
        "expected": {"initial_loss": 2.3026},
        "diagnoses": [diagnosis],
        "seconds": 0.8,
    }


STATES: dict[str, Callable[[Frame, Path, Path], QWidget | None]] = {
    "welcome-empty": _welcome_empty,
    "welcome": _welcome,
    "form-errors": _form_errors,
    "running": _running,
    "paused": _paused,
    "crash": _crash,
    "close-question": _question,
    "watch": _watch,
    "keys": _keys,
    "wizard-setup": _wizard,
    "wizard-verdict": _page("initial-loss"),
    "wizard": _page("overfit-20"),
    "wizard-summary": _summary_page,
}
