"""Every panel on every kind of session, live equal to replay, and the manners of drawing."""

import gc
import weakref

import numpy as np
import pytest
from PyQt6.QtCore import QCoreApplication, QEvent

from convdebug_gui.made_session import STEPS, info_of, make_session, write_run
from convdebug_gui.panels import PANELS
from convdebug_gui.session_model import SessionModel
from convdebug_sessions import Recorder


@pytest.mark.parametrize("panel", [panel.name for panel in PANELS])
def test_each_panel_draws_any_session(window, settle, any_session, panel):
    assert window.model.open(any_session)
    settle(window)
    shown = window.deck.panel(panel)
    shown.refresh()
    assert not shown.grab().isNull()
    assert shown.is_empty == (any_session.stem == "empty")
    if shown.is_empty:
        assert len(shown.note.text()) > 40  # it says why, or what will stand here


def test_the_pictures_panel_shows_each_of_its_views(window, settle, sessions):
    window.model.open(sessions["full"])
    panel = window.deck.panel("pictures")
    titles = {}
    for choice in ("filters", "predictions", "sweep"):
        panel.switch.choose(choice)
        settle(window)
        assert not panel.is_empty
        titles[choice] = panel.full_title()
    assert titles["filters"] == "Filters · conv1"
    assert titles["predictions"].endswith("of 8 right")
    assert titles["sweep"] == "Rate sweep · try 5e−2"


def test_without_a_sweep_its_view_says_what_will_stand_there(window, settle, sessions):
    window.model.open(sessions["nan"])
    panel = window.deck.panel("pictures")
    panel.switch.choose("sweep")
    settle(window)
    assert panel.is_empty
    assert "rate sweep" in panel.note.text()


def curves_of(window):
    found = {}
    for name in ("loss", "accuracy"):
        for key, curve in window.deck.panel(name).curves().items():
            found[name, key] = np.stack([curve.steps, curve.values])
    for name in ("activations", "gradient-flow", "updates"):
        for key, values in window.deck.panel(name).curves().items():
            found[name, key] = values
    return found


def test_live_equals_replay(window, settle, tmp_path):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=info_of(5, 300))
        write_run(run, 300, 5, None)
        run.flush()
        assert window.model.open(path)
        assert window.model.live
        settle(window)
        live = curves_of(window)
        run.finish()
    window.model.close()
    window.model.open(path)
    assert not window.model.live
    settle(window)
    replay = curves_of(window)
    assert live.keys() == replay.keys()
    for key, values in live.items():
        np.testing.assert_array_equal(values, replay[key], err_msg=str(key))


def test_news_of_a_growing_run_are_drawn(window, settle, tmp_path, qtbot):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        losses = run.group(["train/loss"])
        losses.extend(np.arange(10), np.ones((10, 1)))
        run.flush()
        window.model.open(path)
        settle(window)
        assert window.model.extent == (0, 9)
        losses.extend(np.arange(10, 50), np.ones((40, 1)))
        run.flush()
        qtbot.waitUntil(lambda: window.model.step == 49, timeout=3000)
        qtbot.waitUntil(lambda: window.deck.panel("loss").curves()["raw"].steps[-1] == 49, timeout=3000)
        run.finish()


def test_the_zoom_is_kept_on_refresh_and_reset_on_double_click(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    chart = window.deck.panel("loss").chart
    chart.zoom_to(100, 200)
    settle(window)
    window.model.revision += 1
    window.model.seek(150)
    settle(window)
    assert chart.x_range == pytest.approx((100, 200))
    chart.view.reset.emit()
    settle(window)
    assert chart.x_range == pytest.approx((0, 499))


def test_a_zoomed_panel_reads_what_is_in_view_at_full_resolution(window, settle, tmp_path):
    window.model.open(make_session(tmp_path / "long.convdebug", steps=6000, layers=2, sick_at=None, sweep=False))
    settle(window)
    panel = window.deck.panel("loss")
    assert len(panel.curves()["raw"]) < 6000
    panel.chart.zoom_to(1000, 1200)
    settle(window)
    raw = panel.curves()["raw"]
    assert np.all(np.diff(raw.steps) <= 1)
    assert raw.steps[0] <= 1000
    assert raw.steps[-1] >= 1200


def test_a_hidden_panel_does_not_draw(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    window.deck.docks["accuracy"].close()
    settle(window)
    panel = window.deck.panel("accuracy")
    before = panel.draws
    window.model.seek(3)
    for _round in range(5):
        window.model.tick()
    assert panel.draws == before
    assert not panel.due()


def test_a_panel_without_news_does_not_draw_again(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    before = [panel.draws for panel in window.deck.panels]
    for _round in range(10):
        window.model.tick()
    assert [panel.draws for panel in window.deck.panels] == before


def test_non_finite_steps_are_marked_at_the_top_of_the_loss(window, settle, sessions):
    window.model.open(sessions["nan"])
    settle(window)
    bad = window.deck.panel("loss").chart.marks.bad
    assert bad.min() == 120
    assert bad.max() == 239
    assert np.isfinite(window.deck.panel("loss").chart.view.viewRange()).all()


def test_a_change_of_the_rate_is_a_line_with_words(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    (change,) = window.deck.panel("loss").chart.marks.changes
    assert (change.x, change.text) == (384, "optimizer.lr 0.032 → 0.32")


@pytest.mark.parametrize(("kind", "last"), [("steps", 499), ("epochs", 499 / 80), ("time", 499 * 0.11)])
def test_the_loss_stands_over_steps_epochs_or_wall_time(window, settle, sessions, kind, last):
    window.model.open(sessions["full"])
    panel = window.deck.panel("loss")
    panel.choose_x(kind)
    settle(window)
    assert panel.chart.x_range[1] == pytest.approx(last, rel=1e-3)


def test_a_layer_picked_in_one_panel_is_picked_in_all(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    window.deck.panel("gradient-flow").chart.name_clicked.emit(2.5)
    settle(window)
    assert window.model.picked == "conv3"
    assert window.deck.panel("gradient-flow").heat.picked == 2
    assert window.deck.panel("activations").ridge.picked == 2
    assert window.deck.panel("updates").lines.strokes[-1].name == "conv3"
    window.let_go()
    settle(window)
    assert window.deck.panel("activations").ridge.picked is None


def test_a_layer_has_the_same_colour_in_every_panel(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    lines = {stroke.name: stroke.color.name() for stroke in window.deck.panel("updates").lines.strokes}
    ridge = [color.name() for color in window.deck.panel("activations").ridge.colors]
    bars = [color.name() for color in window.deck.panel("gradient-flow").bars.colors]
    assert ridge == bars == [lines[f"conv{index + 1}"] for index in range(6)]


def test_the_filter_leaves_the_layers_that_it_names(window, settle, sessions):
    window.model.open(sessions["full"])
    window.filter_layers()
    window.filter_field.setText("conv2")
    settle(window)
    assert window.deck.panel("gradient-flow").chart.left.names == ["conv2"]
    window.let_go()
    settle(window)
    assert len(window.deck.panel("gradient-flow").chart.left.names) == 6


def test_hovering_says_step_and_values(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    words = window.deck.panel("loss").chart.hover_text(100, 0)
    assert words.startswith("step 100\nloss  ")
    assert "norm" in window.deck.panel("gradient-flow").chart.hover_text(100, 1.5)
    assert "std" in window.deck.panel("activations").ridge_chart.hover_text(0, 1.5)


@pytest.mark.parametrize("panel", [panel.name for panel in PANELS])
@pytest.mark.parametrize("ending", ["png", "svg", "csv"])
def test_every_panel_is_saved_as_picture_and_numbers(window, settle, sessions, tmp_path, panel, ending):
    window.model.open(sessions["full"])
    settle(window)
    path = tmp_path / f"{panel}.{ending}"
    window.deck.panel(panel).save(str(path))
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "csv": b""}[ending]
    assert path.read_bytes().startswith(begins)
    assert path.stat().st_size > 200


def test_a_panel_that_is_gone_is_not_kept_alive(look, qapp, sessions):
    model = SessionModel()
    model.open(sessions["full"])
    panel = PANELS[0](model)
    panel.refresh()
    gone = weakref.ref(panel)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    del panel
    gc.collect()
    model.close()
    assert gone() is None


def test_the_made_session_is_as_long_as_the_drawing():
    assert STEPS == 704
