"""The window's entry: bad use, no display and missing libraries each end in one line."""

import os
import subprocess
import sys

import pytest

from convdebug_gui import __main__ as entry


def run(*words, **environment):
    command = [sys.executable, "-m", "convdebug_gui", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


@pytest.mark.parametrize("words", [["dance"], ["open"], ["open", "a", "b"]])
def test_bad_use_ends_with_one_line(words):
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("convdebug: ")
    assert len(done.stderr.splitlines()) == 1


def test_without_a_display_it_says_what_works_there():
    done = run(QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 2
    assert "no display" in done.stderr


def test_missing_libraries_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(entry, "_loads", lambda library: library not in ("libEGL.so.1", "libxcb-cursor.so.0"))
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert entry.missing_libraries().endswith("apt-get install -y libegl1 libxcb-cursor0")


def test_an_error_of_the_window_itself_is_shown_and_the_window_stays(qtbot, look, description, settings, capsys):
    from convdebug_gui.frame import Frame

    frame = Frame(settings, description)
    qtbot.addWidget(frame)
    frame.show()
    try:
        raise ValueError("a slip")
    except ValueError as error:
        entry.Complaint(frame)(ValueError, error, error.__traceback__)
    assert frame.isVisible()
    assert frame.notice.isVisible()
    assert "ValueError: a slip" in frame.notice.words.text()
    assert "a slip" in capsys.readouterr().err
    frame.close()
