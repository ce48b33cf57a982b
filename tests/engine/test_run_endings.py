"""`convdebug run`: threads, pools and children that are there when a script ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convdebug.__main__ import run
from convdebug_sessions import Session

from . import run_scripts as scripts
from .test_run import python, watched

TRAINS = (
    scripts.HEAD
    + """
import threading, time
from concurrent.futures import ThreadPoolExecutor

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


"""
)
ENDS = {
    "a pool is left open": ("pool = ThreadPoolExecutor(2)\npool.submit(print, 1).result()\ntrain(5)", 0, "finished", 5),
    "a thread trains on": ("threading.Thread(target=train, args=(90,)).start()\nsys.exit(0)", 0, "finished", 90),
    "a daemon goes on": (
        "threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\ntrain(5)",
        0,
        "finished",
        5,
    ),
    "it leaves at once": ("train(5)\nos._exit(4)", 4, "killed", 5),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_script_ends_as_under_python_with_all_of_its_steps(how: str, tmp_path: Path) -> None:
    text, code, status, steps = ENDS[how]
    done = watched(tmp_path, TRAINS + text)
    assert done.returncode == code, done.stderr
    with Session.open(tmp_path / "s.convdebug") as session:
        assert [(run.status, run.steps) for run in session.runs] == [(status, steps)]


RAISES = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no words")


train(5)
raise {}
"""


@pytest.mark.parametrize(
    ("error", "reason", "line"),
    [
        (
            "Odd()",
            "Odd: (no text: its __str__ raised RuntimeError)",
            "(Odd: (no text: its __str__ raised RuntimeError))",
        ),
        ("ValueError('one\\ntwo')", "ValueError: one\ntwo", "(ValueError: one …)"),
    ],
)
def test_whatever_an_error_says_the_run_has_crashed_of_it_and_diagnose_tells(
    error: str, reason: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = watched(tmp_path, TRAINS + RAISES.format(error))
    assert done.returncode == 1
    assert "convdebug/" not in done.stderr.partition("Traceback")[2]
    with Session.open(tmp_path / "s.convdebug") as session:
        assert [(run.status, run.reason, run.steps) for run in session.runs] == [("crashed", reason, 5)]
    run(["diagnose", str(tmp_path / "s.convdebug")])
    assert f"run 1 Net: crashed {line} after 5 steps" in capsys.readouterr().out


CHILDREN = ("train(3)", "sys.exit(7)", "raise ValueError('in the child')")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("act", CHILDREN)
def test_a_forked_child_of_a_script_ends_without_a_word_about_the_session(act: str, tmp_path: Path) -> None:
    text = f"train(5)\nif os.fork() == 0:\n    {act}\nelse:\n    print(os.wait()[1] >> 8)\n    train(2)\n"
    done = watched(tmp_path, TRAINS + text)
    bare = python(tmp_path, "train.py")
    assert (done.returncode, done.stdout) == (0, bare.stdout)
    assert done.stderr.count("session:") == done.stderr.count("run 1") == 1, done.stderr
    with Session.open(tmp_path / "s.convdebug") as session:
        assert [(run.status, run.steps) for run in session.runs] == [("finished", 7)]
