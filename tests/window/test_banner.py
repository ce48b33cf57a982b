"""Bad news in words, and the question at closing."""

import signal

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication

from convdebug_gui.banner import Banner, CloseQuestion
from convdebug_gui.engine_process import Ending, outcome
from convdebug_gui.notices import of_outcome, session_gone

TRACEBACK = """Traceback (most recent call last):
  File 'net.py', line 3
RuntimeError: shapes (2,3) and (4,5)
convdebug: it raised"""


@pytest.fixture
def banner(qtbot, look):
    banner = Banner()
    qtbot.addWidget(banner)
    return banner


def test_an_error_that_looks_like_markup_is_shown_as_it_is(banner):
    banner.show_notice(of_outcome(outcome(3, False, "TypeError: <class 'int'> is <b>no</b> tensor")))
    assert banner.words.textFormat() == Qt.TextFormat.PlainText
    assert banner.words.text() == "TypeError: <class 'int'> is <b>no</b> tensor"


@pytest.mark.parametrize(
    ("code", "crashed", "words", "title", "phrase"),
    [
        (3, False, TRACEBACK, "The training raised an error", "RuntimeError: shapes (2,3) and (4,5)"),
        (3, False, "torch.OutOfMemoryError: CUDA out of memory", "Out of memory", "OutOfMemoryError"),
        (3, False, "OSError: [Errno 28] No space left on device", "The disk is full", "No space left"),
        (int(signal.SIGKILL), True, "", "The engine was killed", "memory"),
        (int(signal.SIGSEGV), True, "", "The engine crashed", "segmentation fault"),
        (1, False, "No module named 'torch'", "The engine cannot start", "no module torch"),
        (2, False, "convdebug: optimizer.lr is -1", "The engine refused this run", "optimizer.lr is -1"),
    ],
)
def test_each_ending_has_its_own_words(banner, code, crashed, words, title, phrase, tmp_path):
    session = tmp_path / "run.convdebug"
    session.touch()
    banner.show_notice(of_outcome(outcome(code, crashed, words), session, 1234))
    assert banner.title.text() == title
    assert phrase in banner.words.text()
    if outcome(code, crashed, words).ending != Ending.MISSING:
        assert "1 234 recorded steps are safe in run.convdebug" in banner.safe.text()


def test_a_good_ending_has_no_banner():
    assert of_outcome(outcome(0, False, "")) is None
    assert of_outcome(outcome(1, False, "verdict: fail")) is None


def test_the_traceback_is_at_hand_and_can_be_copied(qtbot, banner):
    banner.show_notice(of_outcome(outcome(3, False, TRACEBACK)))
    assert not banner.details.isVisible()
    qtbot.mouseClick(banner.more, Qt.MouseButton.LeftButton)
    assert banner.details.isVisible()
    assert "line 3" in banner.details.toPlainText()
    qtbot.mouseClick(banner.copy, Qt.MouseButton.LeftButton)
    assert "shapes (2,3)" in QGuiApplication.clipboard().text()
    with qtbot.waitSignal(banner.run_again):
        qtbot.mouseClick(banner.again, Qt.MouseButton.LeftButton)
    banner.dismiss()
    assert not banner.isVisible()


def test_a_session_that_is_gone_is_told_by_its_name(banner, tmp_path):
    banner.show_notice(session_gone(tmp_path / "run.convdebug"))
    assert "run.convdebug" in banner.words.text()


@pytest.mark.parametrize("button", ["stop_button", "go_on_button"])
def test_the_question_at_closing_can_be_answered(qtbot, look, button):
    question = CloseQuestion("vgg-bn", "step 3")
    qtbot.addWidget(question)
    question.open()
    signal_of = {"stop_button": question.stop, "go_on_button": question.go_on}[button]
    with qtbot.waitSignal(signal_of):
        qtbot.mouseClick(getattr(question, button), Qt.MouseButton.LeftButton)
