"""A session of `convdebug run` in the window: the form says where its settings stand, and it is steered live."""

import os
import subprocess
import sys

import pytest
from PyQt6.QtCore import Qt

from convdebug_gui.frame import Frame
from convdebug_gui.live_control import State
from convdebug_gui.run_chooser import RunChooser
from convdebug_gui.script_runs import OWN_BATCHES, RUN_TIP
from convdebug_sessions import Recorder, Session, SessionError

SCRIPT = """
import torch
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
while True:
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(torch.ones(4, 12)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
"""


@pytest.fixture
def frame(qtbot, look, description, settings):
    frame = Frame(settings, description)
    qtbot.addWidget(frame)
    frame.resize(1440, 900)
    frame.show()
    yield frame
    frame.close_down()


def test_the_form_says_where_the_settings_stand_and_run_is_not_offered(frame, tmp_path):
    path = tmp_path / "gan.convdebug"
    with Recorder.create(path) as recorder:
        for name in ("Generator", "Discriminator"):
            recorder.start_run("watch", name, info={"source": "run", "optimizer": {"name": "Adam"}}).finish()
    frame.open(path)
    bench = frame.workbench
    assert not [key for key, row in bench.form.rows.items() if not row.isHidden()]
    assert not bench.form.target.isVisible()
    assert "Discriminator, Adam" in bench.form._of_target.text()
    assert not bench.live.run_button.isEnabled()
    assert bench.live.run_button.toolTip() == RUN_TIP
    lines = [action.text() for action in bench.main.findChild(RunChooser).menu_of_runs().actions()]
    assert [line.partition("   ")[0] for line in lines] == ["watch 1 · Generator", "watch 2 · Discriminator"]
    frame.new_run()
    assert bench.form.rows["model.name"].isVisible()
    assert bench.form.target.isVisible()
    assert bench.live.run_button.isEnabled()


def test_a_killed_script_is_not_offered_to_run_again_here(frame, tmp_path):
    path = tmp_path / "script.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("watch", "Sequential", info={"source": "run"})
        run.event("crash", None, type="ValueError", message="no", traceback="")
        run.finish("crashed")
    frame.open(path)
    assert "start the script again" in frame.workbench.banner.notice.advice
    assert not frame.workbench.banner.notice.again


def test_a_running_script_is_paused_stepped_changed_and_stopped(qtbot, frame, tmp_path):
    script, path = tmp_path / "script.py", tmp_path / "script.convdebug"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "convdebug", "run", "--session", str(path), str(script)]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL) as process:
        try:
            qtbot.waitUntil(lambda: steps(path) > 3, timeout=60_000)
            frame.open(path)
            steer(qtbot, frame.workbench)
            assert process.wait(60) is not None
        finally:
            process.kill()


def steps(path):
    try:
        with Session.open(path) as session:
            return session.runs[-1].steps if session.runs else 0
    except SessionError:  # it is being made
        return 0


def steer(qtbot, bench):
    live, button = bench.live, Qt.MouseButton.LeftButton
    assert bench.form.rows["optimizer.lr"].isVisible()
    assert not live.live_fields["data.batch_size"].isEnabled()
    assert OWN_BATCHES in live.live_fields["data.batch_size"].toolTip()
    qtbot.mouseClick(live.pause_button, button)
    qtbot.waitUntil(lambda: live.state == State.PAUSED, timeout=60_000)
    rate = live.live_fields["optimizer.lr"]
    rate.selectAll()
    qtbot.keyClicks(rate, "0.025")
    qtbot.keyClick(rate, Qt.Key.Key_Return)
    before = bench.model.run.steps
    qtbot.mouseClick(live.step_button, button)
    qtbot.waitUntil(lambda: bench.model.run.steps == before + 1, timeout=60_000)

    def changes():  # the rows of a step are seen before its events, which the next transaction brings
        found = [event.data for event in bench.model.session.events(bench.model.run.id, {"change"})]
        return [(change["key"], change["new"]) for change in found]

    qtbot.waitUntil(lambda: changes() == [("optimizer.lr", 0.025)], timeout=60_000)
    qtbot.mouseClick(live.stop_button, button)
    qtbot.waitUntil(lambda: bench.model.run.status == "stopped", timeout=60_000)
