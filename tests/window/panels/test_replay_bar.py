"""The replay bar: buttons, scrubber, markers, readout."""

import pytest
from PyQt6.QtCore import QPoint, Qt

from convdebug_gui.replay_bar import SPEEDS


@pytest.fixture
def bar(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    return window.replay_bar


def press(qtbot, widget):
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_the_buttons_move_the_playhead(bar, qtbot):
    press(qtbot, bar.first)
    assert bar.model.step == 0
    press(qtbot, bar.next)
    press(qtbot, bar.next)
    press(qtbot, bar.previous)
    assert bar.model.step == 1
    press(qtbot, bar.last)
    assert bar.model.step == 499
    press(qtbot, bar.jump)
    assert bar.model.step == 0


def test_play_becomes_pause_and_back(bar, qtbot):
    press(qtbot, bar.first)
    press(qtbot, bar.play)
    bar.refresh()
    assert bar.play.toolTip() == "Pause (Space)"
    press(qtbot, bar.play)
    bar.refresh()
    assert bar.play.toolTip() == "Play (Space)"


def test_clicking_the_track_seeks_there(bar, qtbot):
    x = bar.scrubber.x_of(250)
    qtbot.mouseClick(bar.scrubber, Qt.MouseButton.LeftButton, pos=QPoint(round(x), bar.scrubber.height() - 8))
    assert abs(bar.model.step - 250) <= 2


def test_clicking_a_marker_seeks_to_its_very_step(bar, qtbot):
    x = bar.scrubber.x_of(396)
    qtbot.mouseClick(bar.scrubber, Qt.MouseButton.LeftButton, pos=QPoint(round(x), 10))
    assert bar.model.step == 396


def test_markers_show_diagnoses_changes_and_checkpoints(bar):
    shapes = {(marker.step, marker.shape) for marker in bar.scrubber.markers}
    assert {(396, "diamond"), (384, "triangle"), (79, "tick")} <= shapes


def test_the_speeds_go_from_a_quarter_to_sixty_four(bar):
    assert (SPEEDS[0], SPEEDS[-1]) == (0.25, 64)
    for _press in range(20):
        bar.faster()
    assert bar.speed.text() == "64×"
    for _press in range(20):
        bar.slower()
    assert bar.speed.text() == "0.25×"


def test_the_readout_names_the_step_and_the_last(bar):
    bar.model.seek(412)
    bar.refresh()
    assert bar.readout.text() == "step 412 / 499"
    assert bar.mode.text() == "replay"


def test_without_a_session_nothing_can_be_pressed(window):
    bar = window.replay_bar
    assert not bar.play.isEnabled()
    assert bar.readout.text() == "no run"
