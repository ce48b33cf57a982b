"""Watching a script of one's own from the window: its lines, and that its session is found at its first step."""

import numpy as np
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication

from convdebug_gui.frame import Frame
from convdebug_gui.places import sessions_folder
from convdebug_gui.watch_dialog import LINES, WatchDialog
from convdebug_sessions import Recorder


def dialog_of(qtbot):
    dialog = WatchDialog()
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_the_lines_run_as_they_stand():
    compile(LINES, "lines", "exec")
    assert "watched.step(loss)" in LINES


def test_only_a_new_session_with_a_step_is_found(qtbot, look):
    with Recorder.create(sessions_folder() / "before.convdebug") as recorder:
        recorder.start_run("watch").finish()
    dialog = dialog_of(qtbot)
    with Recorder.create(sessions_folder() / "script.convdebug") as recorder:
        run = recorder.start_run("watch")
        group = run.group(["train/loss"])
        dialog.look()
        assert dialog.isVisible()
        with qtbot.waitSignal(dialog.found, timeout=5000) as found:
            group.extend(np.arange(3), np.ones((3, 1)))
            run.flush()
    assert found.args[0].name == "script.convdebug"
    assert not dialog.isVisible()
    assert not dialog._looking.isActive()


def test_the_lines_are_copied(qtbot, look):
    dialog = dialog_of(qtbot)
    qtbot.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == LINES
    dialog.reject()
    assert not dialog._looking.isActive()


def test_a_watched_script_is_opened_live_and_steered(qtbot, look, description, settings):
    frame = Frame(settings, description)
    qtbot.addWidget(frame)
    frame.show()
    frame.watch_script()
    with Recorder.create(sessions_folder() / "script.convdebug") as recorder:
        run = recorder.start_run("watch", info={"target": "train.py"})
        run.group(["train/loss"]).extend(np.arange(9), np.ones((9, 1)))
        run.flush()
        qtbot.waitUntil(lambda: frame.workbench is not None and frame.workbench.model.live, timeout=8000)
        qtbot.mouseClick(frame.workbench.live.pause_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: [wish.what for wish in run.pending_wishes] == ["pause"], timeout=5000)
        assert frame.workbench.banner.notice is None
        run.finish()
    frame.close_down()
