"""The model behind the window: opening, runs, the playhead, its one timer, and news."""

import subprocess
import sys

import numpy as np
import pytest

from convdebug_sessions import Recorder


def test_what_is_not_a_session_is_refused_in_one_line(model, tmp_path, qtbot):
    (tmp_path / "notes.txt").write_text("no session " * 20)
    with qtbot.waitSignal(model.failed) as told:
        assert not model.open(tmp_path / "notes.txt")
    assert "not a convdebug session" in told.args[0]
    assert model.session is None


def test_a_finished_session_opens_paused_at_its_end(model, sessions):
    model.open(sessions["full"])
    assert (model.playhead.mode, model.step, model.extent) == ("paused", 499, (0, 499))
    assert not model.live


def test_a_growing_session_is_followed(model, tmp_path, qtbot):
    with Recorder.create(tmp_path / "run.convdebug") as recorder:
        run = recorder.start_run("train")
        group = run.group(["train/loss"])
        group.extend(np.arange(5), np.ones((5, 1)))
        run.flush()
        model.open(tmp_path / "run.convdebug")
        assert model.playhead.mode == "following"
        group.extend(np.arange(5, 20), np.ones((15, 1)))
        qtbot.waitUntil(lambda: model.step == 19, timeout=3000)
        model.seek(3)
        assert model.playhead.mode == "paused"
        group.append(20, [1.0])
        qtbot.waitUntil(lambda: model.extent[1] == 20, timeout=3000)
        assert model.step == 3


def test_a_closed_model_has_no_timer_running(model, sessions):
    model.open(sessions["full"])
    assert model._timer.isActive()
    model.close()
    assert not model._timer.isActive()


def test_changed_comes_at_most_once_a_frame(model, sessions):
    model.open(sessions["full"])
    model.tick()
    seen = []
    model.changed.connect(lambda: seen.append(model.step))
    for step in range(50):
        model.seek(step)
    model.tick()
    model.tick()
    assert seen == [49]


def test_playing_moves_on_and_stops_at_the_end(model, sessions, qtbot):
    model.open(sessions["cut-off"])
    model.seek(0)
    model.set_speed(64)
    model.toggle_play()
    qtbot.waitUntil(lambda: model.playhead.mode == "paused", timeout=3000)
    assert model.step == 36


def test_steps_beyond_32_bits_are_carried_unharmed(model, tmp_path):
    far = 2**40
    with Recorder.create(tmp_path / "far.convdebug") as recorder:
        run = recorder.start_run("train")
        run.group(["train/loss"]).extend(far + np.arange(10), np.ones((10, 1)))
        run.finish()
    model.open(tmp_path / "far.convdebug")
    model.seek(far + 4)
    assert model.extent == (far, far + 9)
    assert model.step == far + 4


def test_another_run_of_the_session_is_brought_into_view(model, sessions, qtbot):
    model.open(sessions["full"])
    trial = next(run for run in model.runs if run.kind == "trial")
    with qtbot.waitSignal(model.run_changed):
        model.choose_run(trial.id)
    assert model.run.id == trial.id
    assert model.extent == (0, 59)


def test_the_next_diagnosis_is_found_and_the_first_after_the_last(model, sessions):
    model.open(sessions["full"])
    model.seek(0)
    visited = []
    for _jump in range(4):
        model.next_diagnosis()
        visited.append(model.step)
    assert visited == [396, 408, 410, 0]


def test_values_at_the_playhead_equal_the_series(model, sessions):
    model.open(sessions["full"])
    names = [f"gradient/conv{index + 1}.weight/norm" for index in range(6)]
    for step in (0, 17, 498):
        expected = [model.session.series(name)[1][step] for name in names]
        np.testing.assert_array_equal(model.facts.values(names, step), expected)


def test_a_layer_without_words_of_the_run_is_known_by_its_series(model, tmp_path):
    with Recorder.create(tmp_path / "bare.convdebug") as recorder:
        run = recorder.start_run("watch")
        run.group(["activation/net.0/std", "gradient/net.0.weight/norm", "gradient/net.2.weight/norm"]).append(
            0, [1, 1, 1]
        )
        run.finish()
    model.open(tmp_path / "bare.convdebug")
    assert [(layer.name, layer.short, layer.weight) for layer in model.layers] == [
        ("net.0", "0", "net.0.weight"),
        ("net.2", "2", "net.2.weight"),
    ]


@pytest.mark.parametrize("module", ["torch", "convdebug", "matplotlib", "pandas"])
def test_the_window_never_loads(module):
    code = (
        "import sys, convdebug_gui.main_window, convdebug_gui.panels, convdebug_gui.screenshots; "
        f"assert {module!r} not in sys.modules, {module!r}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr


def _environment():
    import os
    from pathlib import Path

    root = Path(__file__).resolve().parents[3]
    places = os.pathsep.join(str(root / part) for part in ("", "gui", "sessions"))
    return {**os.environ, "PYTHONPATH": places}
