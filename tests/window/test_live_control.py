"""Steering a real training from the workbench: run, pause, step, change the rate, stop; and every bad ending."""

import os
import signal
from pathlib import Path

import pytest
from PyQt6.QtCore import Qt

from convdebug_gui.engine_process import EngineProcess
from convdebug_gui.frame import Frame
from convdebug_gui.live_control import LiveControl, State
from convdebug_gui.live_field import turned
from convdebug_gui.reading import Reading, count, duration, live_values
from convdebug_gui.workbench import Workbench
from convdebug_sessions import Session

START_MS = 90_000


@pytest.fixture
def bench(qtbot, look, description, settings, tmp_path):
    bench = Workbench(description, settings, tmp_path)
    qtbot.addWidget(bench)
    bench.resize(1440, 900)
    bench.show()
    yield bench
    bench.close_down()


def start(qtbot, bench, values):
    bench.form.load(values)
    qtbot.mouseClick(bench.live.run_button, Qt.MouseButton.LeftButton)
    assert bench.live.state == State.STARTING
    qtbot.waitUntil(lambda: bench.live.state == State.RUNNING and bench.model.run.steps > 5, timeout=START_MS)


def test_a_run_is_started_paused_stepped_changed_and_stopped(qtbot, bench, slow):
    start(qtbot, bench, slow)
    qtbot.mouseClick(bench.live.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bench.live.state == State.PAUSED, timeout=15_000)
    assert bench.live.pause_button.text() == "Continue"
    steps = bench.model.run.steps
    qtbot.mouseClick(bench.live.step_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bench.model.run.steps == steps + 1, timeout=15_000)
    rate = bench.live.live_fields["optimizer.lr"]
    rate.setFocus()
    rate.selectAll()
    qtbot.keyClicks(rate, "0.002")
    qtbot.keyClick(rate, Qt.Key.Key_Return)
    qtbot.mouseClick(bench.live.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: live_values(bench.model.session, bench.model.run)["optimizer.lr"] == 0.002, timeout=15_000)
    qtbot.waitUntil(lambda: bench.form.rows["optimizer.lr"].value == 0.002, timeout=5000)
    with qtbot.waitSignal(bench.ended, timeout=30_000):
        qtbot.mouseClick(bench.live.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bench.live.state == State.IDLE and bench.model.run.status == "stopped", timeout=10_000)
    assert bench.banner.notice is None
    changes = [event.data for event in bench.model.session.events(bench.model.run.id, {"change"})]
    assert any(change["key"] == "optimizer.lr" and change["new"] == 0.002 for change in changes)


def test_a_field_that_is_wrong_keeps_the_engine_from_starting(bench):
    bench.form.rows["optimizer.lr"].editor.setText("fast")
    bench.run()
    assert bench.engines == {}
    assert bench.live.state == State.IDLE


def test_a_killed_engine_is_told_the_data_stay_and_run_works_again(qtbot, bench, slow, tiny):
    start(qtbot, bench, slow)
    first, steps = bench.path, bench.model.run.steps
    with qtbot.waitSignal(bench.ended, timeout=30_000):
        os.kill(bench.engine.pid, signal.SIGKILL)
    assert bench.banner.title.text() == "The engine was killed"
    with Session.open(first) as session:
        assert session.run().steps >= steps
    bench.form.load(tiny)
    qtbot.waitUntil(lambda: bench.live.state == State.IDLE and bench.banner.again.isVisible(), timeout=15_000)
    with qtbot.waitSignal(bench.ended, timeout=START_MS):
        qtbot.mouseClick(bench.banner.again, Qt.MouseButton.LeftButton)
    assert bench.path != first
    qtbot.waitUntil(lambda: bench.model.run.status == "finished", timeout=10_000)
    assert not bench.banner.isVisible()


def test_a_training_that_raises_shows_its_traceback(qtbot, bench, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def make_target():\n    raise ValueError('no data in the cellar')\n")
    bench.form.target.line.setText(f"{file}:make_target")
    with qtbot.waitSignal(bench.ended, timeout=START_MS):
        bench.run()
    assert bench.banner.title.text() == "The training raised an error"
    assert "no data in the cellar" in bench.banner.words.text()
    assert "mine.py" in bench.banner.details.toPlainText()


def test_the_keys_of_the_panels_work_once_a_run_is_started_from_a_field(qtbot, bench, tiny):
    bench.form.load(tiny)
    bench.activateWindow()
    bench.form.rows["optimizer.lr"].editor.setFocus()
    with qtbot.waitSignal(bench.ended, timeout=START_MS):
        bench.run()
    assert bench.main.deck.hasFocus()
    assert bench.form.rows["optimizer.lr"].text == "0.01"


def test_escape_leads_from_a_field_to_the_panels(qtbot, bench):
    bench.activateWindow()
    field = bench.form.rows["optimizer.lr"].editor
    field.setFocus()
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert bench.main.deck.hasFocus()


def test_a_training_whose_session_is_moved_is_stopped_all_the_same(qtbot, bench, slow, tmp_path):
    start(qtbot, bench, slow)
    with qtbot.waitSignal(bench.model.failed, timeout=5000):
        bench.path.rename(tmp_path / "elsewhere.convdebug")
    assert bench.banner.title.text() == "The session is no longer there"
    with qtbot.waitSignal(bench.ended, timeout=30_000):
        qtbot.mouseClick(bench.live.stop_button, Qt.MouseButton.LeftButton)
    assert bench.engines == {}


def test_readouts_say_what_there_is_room_for(qtbot, look):
    control = LiveControl()
    qtbot.addWidget(control)
    control.show_reading(
        Reading(device="cpu", images_per_s=5700, overhead=1.371, epoch=0.5, epochs=10, step=3, planned=9)
    )
    control.show()
    for width in range(1300, 520, -60):
        control.resize(width, 40)
        shown, room = control.readout.text(), control.readout.width()
        assert control.readout.fontMetrics().horizontalAdvance(shown) <= room
        assert shown == "" or shown.endswith("epoch 1/10")


def test_a_session_moved_away_is_told(qtbot, bench, tiny, tmp_path):
    bench.form.load(tiny)
    with qtbot.waitSignal(bench.ended, timeout=START_MS):
        bench.run()
    qtbot.waitUntil(lambda: bench.model.session is not None, timeout=5000)
    bench.path.rename(tmp_path / "elsewhere")
    bench.model.failed.emit("gone")
    assert bench.banner.title.text() == "The session is no longer there"


@pytest.fixture
def frame(qtbot, look, description, settings):
    frame = Frame(settings, description)
    qtbot.addWidget(frame)
    frame.show()
    yield frame
    frame.close_down()


def test_closing_during_a_training_asks_and_stop_ends_it(qtbot, frame, slow):
    frame.new_run()
    start(qtbot, frame.workbench, slow)
    path = frame.workbench.path
    frame.close()
    assert frame.isVisible()
    assert frame.question is not None
    with qtbot.waitSignal(frame.gone, timeout=30_000):
        qtbot.mouseClick(frame.question.stop_button, Qt.MouseButton.LeftButton)
    with Session.open(path) as session:
        assert session.run().status == "stopped"


def test_a_training_goes_on_without_the_window_and_is_met_again_live(qtbot, frame, slow, description, settings):
    frame.new_run()
    start(qtbot, frame.workbench, slow)
    path, pid = frame.workbench.path, frame.workbench.engine.pid
    frame.close()
    with qtbot.waitSignal(frame.gone):
        qtbot.mouseClick(frame.question.go_on_button, Qt.MouseButton.LeftButton)
    assert Path(f"/proc/{pid}").exists()
    later = Frame(settings, description)
    qtbot.addWidget(later)
    later.show()
    later.open(path)
    bench = later.workbench
    steps = bench.model.run.steps
    qtbot.waitUntil(lambda: bench.model.run.steps > steps + 20, timeout=20_000)
    assert bench.live.state == State.RUNNING
    qtbot.mouseClick(bench.live.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bench.live.state == State.IDLE and bench.model.run.status == "stopped", timeout=30_000)
    later.close()
    os.waitpid(pid, 0)


def test_staying_keeps_everything_as_it_is(qtbot, frame, slow):
    frame.new_run()
    start(qtbot, frame.workbench, slow)
    frame.close()
    qtbot.mouseClick(frame.question.stay_button, Qt.MouseButton.LeftButton)
    assert frame.isVisible()
    assert frame.question is None
    assert isinstance(frame.workbench.engine, EngineProcess)
    frame.workbench.close_down()


def test_readouts_are_short(qtbot, look, engine_words):
    live = LiveControl()
    qtbot.addWidget(live)
    live.set_schema(engine_words["schema"])
    live.set_state(State.RUNNING)
    live.show_reading(Reading("cuda:0", 120, 300, 1.2, 3, 41_234.0, 0.013, 252.0))
    assert live.readout.text() == "cuda:0 · 41 k img/s · watch 1.3 % · epoch 2/3"
    assert live.left.text() == "4:12 left"
    assert live.progress.value() == 400
    assert (count(812), count(4100), count(1.2e6), duration(3680)) == ("812", "4.1 k", "1.2 M", "1:01:20")


def test_arrows_turn_values_and_escape_takes_them_back(qtbot, look, engine_words):
    live = LiveControl()
    qtbot.addWidget(live)
    live.set_schema(engine_words["schema"])
    live.set_state(State.RUNNING)
    live.show_values({"optimizer.lr": 0.01})
    rate = live.live_fields["optimizer.lr"]
    qtbot.keyClick(rate, Qt.Key.Key_Up)
    assert rate.text() == "0.032"
    qtbot.keyClick(rate, Qt.Key.Key_Escape)
    assert rate.text() == "0.01"
    assert turned(live.live_fields["data.batch_size"].field, 64, up=False) == 32
    assert turned(live.live_fields["optimizer.momentum"].field, 0.95, up=True) == 0.99
