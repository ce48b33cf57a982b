"""The welcome page: empty, full, with broken sessions; and that it is there before anything heavy is loaded."""

import os
import subprocess
import sys
import time
from pathlib import Path

from PyQt6.QtCore import Qt

from convdebug_gui.cards import age_in_words, short_name, verdict
from convdebug_gui.places import new_session, recent, remember, sessions_folder
from convdebug_gui.welcome import Welcome
from convdebug_sessions import Diagnosis, Recorder, Session, Summary


def record(path, losses=(2.3, 1.0, 0.5)):
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", "net")
        group = run.group(("train/loss",))
        for step, loss in enumerate(losses):
            group.append(step, [loss])
        run.finish()
    return path


def shown(qtbot, settings):
    page = Welcome(settings)
    qtbot.addWidget(page)
    page.resize(1200, 800)
    page.show()
    qtbot.waitUntil(lambda: not page._reading.isActive())
    return page


def test_an_empty_library_says_so_kindly(qtbot, look, settings):
    page = shown(qtbot, settings)
    assert page.cards == []
    assert page._empty.isVisible()
    assert "No session yet" in page._empty.text()


def test_sessions_of_the_folder_and_recent_ones_are_shown_with_verdict_and_curve(qtbot, look, settings, tmp_path):
    path = record(sessions_folder() / "ill.convdebug", (2.3, 9.0, float("nan")))
    with Session.open(path) as session:
        session.write_diagnoses(1, [Diagnosis("loss-diverged", "error", "Loss diverged", "…", 1)])
    other = record(tmp_path / "elsewhere.convdebug")
    remember(settings, other)
    page = shown(qtbot, settings)
    names = {card.summary.path.stem: card for card in page.cards}
    assert set(names) == {"ill", "elsewhere"}
    assert verdict(names["ill"].summary) == "ill"
    assert names["elsewhere"].summary.curve
    with qtbot.waitSignal(page.chosen) as chosen:
        qtbot.mouseClick(names["elsewhere"], Qt.MouseButton.LeftButton)
    assert chosen.args == [other]


def test_what_is_shown_by_hand_is_not_mixed_with_what_was_still_being_read(qtbot, look, settings):
    record(sessions_folder() / "one.convdebug")
    page = Welcome(settings)
    qtbot.addWidget(page)
    page.show()
    page.show_sessions([])
    qtbot.wait(50)
    assert page.cards == []
    assert page._empty.isVisible()


def test_a_card_of_a_session_is_as_wide_as_the_card_above_it(qtbot, look, settings):
    record(sessions_folder() / "one.convdebug")
    page = shown(qtbot, settings)
    (card,) = page.cards
    qtbot.waitUntil(lambda: abs(card.width() - page.actions_shown[0].width()) <= 1, timeout=2000)


def test_a_folder_for_sessions_that_cannot_be_made_is_no_reason_to_fail(qtbot, look, settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CONVDEBUG_SESSIONS", str(tmp_path / "file" / "sessions"))
    page = shown(qtbot, settings)
    assert page._empty.isVisible()
    assert new_session("net").parent == tmp_path / "file" / "sessions"


def test_a_session_is_named_without_the_hour_that_stands_beside_it():
    assert short_name("vgg-bn-shapes10-1124-235025.convdebug") == "vgg-bn-shapes10"
    assert short_name("vgg-bn-shapes10-1124-235025-2.convdebug") == "vgg-bn-shapes10-2"
    assert short_name("seed-12.convdebug") == "seed-12"


def test_a_broken_session_is_a_card_with_its_problem(qtbot, look, settings):
    (sessions_folder() / "broken.convdebug").write_bytes(b"not a session at all")
    page = shown(qtbot, settings)
    assert page.cards[0].summary.problem
    assert "broken" in page.cards[0].accessibleName()
    page.grab()


def test_each_choice_is_a_click_or_a_key(qtbot, look, settings):
    page = shown(qtbot, settings)
    signals = (page.new_run, page.check_model, page.watch_script, page.open_session, page.demo)
    for card, signal in zip(page.actions_shown, signals, strict=True):
        with qtbot.waitSignal(signal):
            qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
        with qtbot.waitSignal(signal):
            qtbot.keyClick(card, Qt.Key.Key_Space)
        assert card.accessibleName()
        assert card.toolTip()


def test_recent_sessions_are_remembered_newest_first_and_forgotten_when_gone(settings, tmp_path):
    paths = [tmp_path / f"{name}.convdebug" for name in "abc"]
    for path in paths:
        path.touch()
        remember(settings, path)
    paths[1].unlink()
    assert recent(settings) == [paths[2], paths[0]]


def test_new_sessions_never_take_a_name_that_is_there(tmp_path):
    first = new_session("vgg/bn shapes", tmp_path)
    first.touch()
    assert new_session("vgg/bn shapes", tmp_path) != first
    assert first.name.startswith("vgg-bn-shapes-")


def test_ages_are_short():
    assert [age_in_words(s) for s in (5, 300, 7200, 172800, 90000)] == [
        "just now", "5 min ago", "2 h ago", "2 days ago", "1 day ago",
    ]  # fmt: skip


def test_a_running_session_says_that_it_runs():
    assert verdict(Summary(Path("x"), time.time(), status="running", severity="warning")) == "running · warnings"


FIRST_FRAME = """
import sys, time
from PyQt6.QtCore import QSettings
from PyQt6.QtWidgets import QApplication
from convdebug_gui import theme
from convdebug_gui.frame import Frame
app = QApplication([])
settings = QSettings(sys.argv[1], QSettings.Format.IniFormat)
theme.install(app, settings)
frame = Frame(settings)
frame.show()
frame.grab()
print(time.process_time())  # of this process alone: what else the machine does has no say
app.processEvents()
frame.new_run()
app.processEvents()
for module in ("torch", "convdebug"):
    assert module not in sys.modules, module
print(sorted(name for name in sys.modules if name.startswith(("torch", "convdebug.", "pyqtgraph"))) == [])
frame.close()
"""


def test_the_first_frame_needs_little_and_neither_torch_nor_the_engine_is_ever_loaded(tmp_path):
    command = [sys.executable, "-c", FIRST_FRAME, str(tmp_path / "s.ini")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) < 1.5


def test_the_welcome_page_needs_no_plotting_library(tmp_path):
    code = FIRST_FRAME.split("app.processEvents()")[0] + "assert 'pyqtgraph' not in sys.modules\n"
    command = [sys.executable, "-c", code, str(tmp_path / "s.ini")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr
