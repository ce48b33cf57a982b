"""Sessions nobody planned for: moved away, deep, wide, odd names, huge steps, many runs; nothing raises in a slot."""

import sys

import numpy as np
import pytest

from convdebug_gui.made_session import info_of, write_run
from convdebug_sessions import Recorder


@pytest.fixture(autouse=True)
def _nothing_raises_in_a_slot(monkeypatch):
    """PyQt hands what a slot raises to the hook."""
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: raised.append(error))
    yield
    assert raised == []


def visit(window, settle):
    """Look at everything a session has: each run, each view, a scrub, each layer, each diagnosis."""
    model = window.model
    settle(window)
    first, last = model.extent
    for share in (0.0, 0.3, 0.77, 1.0):
        model.seek(round(first + share * (last - first)))
        settle(window)
    for view in ("predictions", "sweep", "filters"):
        window.deck.panel("pictures").switch.choose(view)
        settle(window)
    window.next_layer()
    window.zoom_in()
    settle(window)
    window.show_whole_run()
    for diagnosis in model.diagnoses[:3]:
        model.show_diagnosis(diagnosis)
        settle(window)


def record(path, names, steps=30, first=0, validation=True):
    """A training whose layers have these names."""
    info = info_of(len(names), steps)
    info["layers"] = [{**layer, "name": name} for layer, name in zip(info["layers"], names, strict=True)]
    for layer, name in zip(info["layers"], names, strict=True):
        layer["parameters"] = [f"{name}.weight"]
    at = first + np.arange(steps)
    random = np.random.default_rng(0)
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=info)
        run.group(["train/loss"]).extend(at, 2 + random.normal(0, 0.1, (steps, 1)))
        if validation:
            run.group(["val/loss"]).extend(at[::10], np.full((len(at[::10]), 1), 2.2))
        for key in ("gradient/{}.weight/norm", "update/{}.weight/ratio", "activation/{}/mean", "activation/{}/std"):
            values = 10 ** random.normal(-2, 1, (steps, len(names)))
            run.group([key.format(name) for name in names]).extend(at, values)
        run.finish()
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["only"],
        [f"block{index:03}.conv" for index in range(200)],
        ["module.backbone." + "inner." * 11 + f"conv{index}" for index in range(5)],
        ["слой·1", "层二", "couche-à-côté", "🙂", "a b\tc", "<b>bold</b>&amp;"],
    ],
    ids=["one layer", "two hundred layers", "names of eighty letters", "names in every script"],
)
def test_any_layers_are_shown(window, settle, tmp_path, names):
    assert window.model.open(record(tmp_path / "odd.convdebug", names))
    visit(window, settle)
    assert [layer.name for layer in window.model.layers] == names
    for panel in ("gradient-flow", "updates", "activations", "loss"):
        assert not window.deck.panel(panel).is_empty


def test_a_run_without_validation_has_no_legend_of_it(window, settle, tmp_path):
    window.model.open(record(tmp_path / "plain.convdebug", ["conv1"], validation=False))
    visit(window, settle)
    assert [name for name, _color in window.deck.panel("loss").legend._entries] == ["train"]


def test_steps_beyond_32_bits_are_scrubbed_one_by_one(window, settle, tmp_path):
    first = 2**33
    window.model.open(record(tmp_path / "late.convdebug", ["conv1", "conv2"], steps=50, first=first))
    visit(window, settle)
    window.go_first()
    window.step_on()
    assert window.model.step == first + 1
    window.replay_bar.scrubber.moved.emit(first + 40)
    assert window.model.step == first + 40


def test_fifty_runs_are_in_a_menu_of_their_own(window, settle, tmp_path):
    with Recorder.create(tmp_path / "many.convdebug") as recorder:
        for number in range(50):
            run = recorder.start_run("train", f"seed {number}")
            run.group(["train/loss"]).extend(np.arange(5), np.full((5, 1), 2.0 - 0.01 * number))
            run.finish()
    window.model.open(tmp_path / "many.convdebug")
    visit(window, settle)
    (folder,) = [action for action in window.run_chooser.menu_of_runs().actions() if action.menu()]
    assert "(50)" in folder.text()
    window.model.choose_run(7)
    settle(window)
    assert window.model.run.id == 7


def test_a_strangers_database_is_refused_in_a_line(window, tmp_path, qtbot):
    import sqlite3

    path = tmp_path / "address-book.convdebug"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (id INTEGER, name TEXT)")
        database.execute("INSERT INTO runs VALUES (1, 'aunt')")
    database.close()
    with qtbot.waitSignal(window.model.failed) as told:
        assert not window.model.open(path)
    assert path.name in told.args[0]
    assert "\n" not in told.args[0]


@pytest.mark.parametrize("how", ["renamed", "deleted"])
def test_a_session_that_is_moved_away_is_told_once_and_scrubbing_goes_on(window, settle, tmp_path, qtbot, how):
    path = record(tmp_path / "run.convdebug", ["conv1", "conv2"])
    window.model.open(path)
    settle(window)
    told = []
    window.model.failed.connect(told.append)
    path.rename(tmp_path / "elsewhere") if how == "renamed" else path.unlink()
    window.model.session._source.let_go()  # what a reader does when a writer closes
    qtbot.waitUntil(lambda: bool(told), timeout=3000)
    visit(window, settle)
    assert told == [f"{path} does not exist"]
    if how == "renamed":
        with qtbot.waitSignal(window.model.recovered, timeout=3000):
            (tmp_path / "elsewhere").rename(path)
        window.model.seek(3)
        settle(window)
        assert not window.deck.panel("loss").is_empty


def test_a_growing_session_that_is_moved_is_told_at_once(window, settle, tmp_path, qtbot):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=info_of(3, 100))
        write_run(run, 20, 3, None)
        run.flush()
        window.model.open(path)
        settle(window)
        with qtbot.waitSignal(window.model.failed, timeout=3000):
            path.rename(tmp_path / "elsewhere.convdebug")
        run.finish()
    settle(window)
    window.model.close()


def test_filters_that_are_not_finite_are_red_and_counted(window, settle, tmp_path):
    filters = np.ones((4, 3, 3, 3), np.float32)
    filters[1, 0, 0, 0], filters[2] = np.nan, np.inf
    with Recorder.create(tmp_path / "nan.convdebug") as recorder:
        run = recorder.start_run("train", info=info_of(1, 5))
        run.group(["train/loss"]).extend(np.arange(5), np.ones((5, 1)))
        run.blob("filters", 0, filters, name="conv1.weight")
        run.finish()
    window.model.open(tmp_path / "nan.convdebug")
    settle(window)
    pictures = window.deck.panel("pictures")
    assert pictures.full_title() == "Filters · 2/4 not finite"
    view = pictures.views["filters"]
    picture = view.grab().toImage()
    bad, good = (picture.pixelColor(view._tiles[index].center()) for index in (1, 0))
    assert bad.red() > 1.5 * bad.green()
    assert good.red() == good.green()


def test_a_run_that_ended_without_something_says_so(window, settle, tmp_path):
    window.model.open(record(tmp_path / "bare.convdebug", ["conv1"]))
    settle(window)
    accuracy = window.deck.panel("accuracy")
    assert accuracy.is_empty
    assert accuracy.note.text() == "This run has ended and recorded nothing for “Accuracy”."


def test_a_session_of_checks_opens_at_a_run_that_made_steps(window, settle, tmp_path):
    with Recorder.create(tmp_path / "checks.convdebug") as recorder:
        overfit = recorder.start_run("check", "overfit-20")
        overfit.group(["train/loss"]).extend(np.arange(9), np.ones((9, 1)))
        overfit.finish()
        sweep = recorder.start_run("check", "learning-rate-sweep")
        for rate in (0.01, 0.1):
            trial = recorder.start_run("trial", parent=sweep.id, info={"lr": rate})
            trial.group(["train/loss"]).extend(np.arange(5), np.ones((5, 1)))
            trial.finish()
        sweep.finish()
    window.model.open(tmp_path / "checks.convdebug")
    settle(window)
    assert window.model.run.name == "overfit-20"
    assert window.deck.panel("pictures").switch.choice == "sweep"


def test_the_chart_of_a_sweep_shows_apart_the_trials_that_had_more_steps_than_the_others(window, settle, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        sweep = recorder.start_run("sweep", "lr-sweep")
        for rate, steps, longer in ((0.01, 5, False), (0.1, 5, False), (0.1, 20, True)):
            info = {"lr": rate} | ({"longer": True} if longer else {})
            trial = recorder.start_run("trial", parent=sweep.id, info=info)
            trial.group(["train/loss"]).extend(np.arange(steps), np.ones((steps, 1)))
            trial.finish()
        sweep.finish()
    window.model.open(tmp_path / "sweep.convdebug")
    settle(window)
    panel = window.deck.panel("pictures")
    panel.switch.choose("sweep")
    settle(window)
    view = panel.view
    assert [trial.rate for trial in view.trials] == [0.01, 0.1]
    assert [(trial.rate, trial.steps) for trial in view.longer] == [(0.1, 20)]
    assert "after 20 steps 1" in view._hover(-1.0, 0.0)
    assert "after" not in view._hover(-2.0, 0.0)
