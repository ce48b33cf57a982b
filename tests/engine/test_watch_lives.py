"""How a watch begins, ends and begins anew: cells run again, exits, forks, and what comes too early or too late."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import convdebug
from convdebug.errors import UserError
from convdebug.watch import watch
from convdebug_sessions import Recorder, Session, SessionError

ROOT = Path(__file__).resolve().parent.parent.parent


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, watched: convdebug.Watch) -> None:
    loss = model(torch.randn(8, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    watched.step(loss)


def record(path: Path, **options: Any) -> convdebug.Watch:
    model, optimizer = parts()
    with watch(model, optimizer, session=path, **options) as watched:
        one_step(model, optimizer, watched)
    return watched


def endings(path: Path) -> list[tuple[str, int, str | None]]:
    with Session.open(path) as session:
        return [(run.status, run.steps, run.reason) for run in session.runs]


def test_an_existing_session_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    path = tmp_path / "run.convdebug"
    record(path)
    with pytest.raises(
        SessionError, match=r"run.convdebug exists already: append=True adds .* another name"
    ) as problem:
        record(path)
    assert "\n" not in str(problem.value)
    assert len(endings(path)) == 1


def test_a_file_that_is_no_session_is_not_said_to_take_a_run(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(SessionError, match="not a convdebug session, and it is not overwritten: name another file"):
        record(path)
    with pytest.raises(SessionError, match="not a convdebug session"):
        record(path, append=True)
    assert path.read_text() == "notes"


def test_a_run_is_added_where_that_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.convdebug"
    for _ in range(3):
        record(path, append=True)
    assert [status for status, _, _ in endings(path)] == ["finished"] * 3
    assert "as run 3" in capsys.readouterr().err


def test_in_a_notebook_a_cell_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    path = tmp_path / "run.convdebug"
    record(path)
    record(path)
    assert len(endings(path)) == 2
    with pytest.raises(SessionError, match="exists already"):
        record(path, append=False)


def test_a_watch_that_a_cell_left_open_is_ended_by_the_next_one(tmp_path: Path) -> None:
    path, (model, optimizer) = tmp_path / "run.convdebug", parts()
    for _ in range(3):
        watched = watch(model, optimizer, session=path, append=True)
        watched.start()
        one_step(model, optimizer, watched)
    watched.finish()
    stopped = ("stopped", 1, "another watch has begun in the same session")
    assert endings(path) == [stopped, stopped, ("finished", 1, None)]
    assert not model._forward_hooks


def test_a_model_that_is_watched_into_a_fresh_file_leaves_its_old_one(tmp_path: Path) -> None:
    model, optimizer = parts()
    watch(model, optimizer, session=tmp_path / "first.convdebug").start()
    with watch(model, optimizer, session=tmp_path / "second.convdebug") as watched:
        one_step(model, optimizer, watched)
    assert endings(tmp_path / "first.convdebug") == [("stopped", 0, "another watch has begun around the same model")]


def test_two_watches_at_once_share_a_session_through_a_recorder(tmp_path: Path) -> None:
    path = tmp_path / "run.convdebug"
    with (
        watch(*parts(), session=path, append=True),
        pytest.raises(SessionError, match=r"give both the same convdebug_sessions\.Recorder"),
    ):
        watch(*parts(), session=path, append=True)
    with Recorder.append(path) as recorder, watch(*parts(), session=recorder), watch(*parts(), session=recorder):
        pass
    assert len(endings(path)) == 3


def test_a_watch_is_entered_once(tmp_path: Path) -> None:
    watched = record(tmp_path / "run.convdebug")
    with pytest.raises(UserError, match="this watch is over, and one watch is one run: call convdebug"), watched:
        pass
    running = watch(*parts(), session=tmp_path / "other.convdebug")
    running.start()
    with pytest.raises(UserError, match="running already"):
        running.start()
    running.finish()


def test_a_step_after_the_end_is_said_once_and_breaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, optimizer = parts()
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        one_step(model, optimizer, watched)
    for _ in range(3):
        one_step(model, optimizer, watched)
    watched.validation(loss=0.1)
    with watched.phase("features"):
        pass
    said = capsys.readouterr().err
    assert said == "convdebug: step() after the watch was over: nothing more is recorded in its run\n"
    assert endings(tmp_path / "run.convdebug") == [("finished", 1, None)]


def test_a_step_before_the_beginning_names_the_beginning(tmp_path: Path) -> None:
    watched = watch(*parts(), session=tmp_path / "run.convdebug")
    with pytest.raises(UserError, match=r"step\(\) before the watch has begun: use .*start\(\)"):
        watched.step(0.1)
    watched.finish("stopped", "never begun")
    assert endings(tmp_path / "run.convdebug") == [("stopped", 0, "never begun")]


LEAVING = {
    "nothing": (SystemExit(), "finished", None),
    "zero": (SystemExit(0), "finished", None),
    "three": (SystemExit(3), "stopped", "the script ended itself with exit code 3"),
    "text": (SystemExit("no data"), "stopped", "the script ended itself: no data"),
    "keyboard": (KeyboardInterrupt(), "stopped", "interrupted from the keyboard"),
    "cancelled": (asyncio.CancelledError(), "stopped", "CancelledError"),
    "error": (ValueError("wrong"), "crashed", "ValueError: wrong"),
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_run_ends_as_its_training_was_left(how: str, tmp_path: Path) -> None:
    error, status, reason = LEAVING[how]
    model, optimizer = parts()
    with pytest.raises(type(error)), watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:  # noqa: PT012
        one_step(model, optimizer, watched)
        raise error
    assert endings(tmp_path / "run.convdebug") == [(status, 1, reason)]


@pytest.mark.parametrize(("code", "status"), [(0, "stopped"), (2, "stopped")])
def test_an_exit_inside_a_recording_is_no_crash(code: int, status: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), Recorder.create(tmp_path / "run.convdebug") as recorder:  # noqa: PT012
        recorder.start_run("watch")
        sys.exit(code)
    assert endings(tmp_path / "run.convdebug")[0][0] == status


def test_a_training_in_a_generator_that_is_closed_has_stopped(tmp_path: Path) -> None:
    model, optimizer = parts()

    def training() -> Iterator[int]:
        with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
            for step in range(10):
                one_step(model, optimizer, watched)
                yield step

    steps = training()
    next(steps), next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert endings(tmp_path / "run.convdebug") == [("stopped", 2, "the generator that trains was closed")]


def test_what_fails_while_the_watch_ends_hides_neither_the_error_nor_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, optimizer = parts()

    def broken() -> None:
        raise RuntimeError("the device is gone")

    with pytest.raises(ValueError, match="the user's own"):  # noqa: PT012, SIM117
        with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
            one_step(model, optimizer, watched)
            monkeypatch.setattr(watched._scene.readback, "finish", broken)
            raise ValueError("the user's own")
    assert "the end of the recording is incomplete: RuntimeError: the device is gone" in capsys.readouterr().err
    assert endings(tmp_path / "run.convdebug") == [("crashed", 1, "ValueError: the user's own")]
    assert not model._forward_hooks


BY_HAND = """
import multiprocessing, os, sys, threading, time
import torch
from torch import nn
import convdebug

torch.set_num_threads(1)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
watched = convdebug.watch(model, optimizer, session="s.convdebug", every=1)


def train(steps):
    for _ in range(steps):
        loss = model(torch.randn(8, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watched.step(loss)


"""


def program(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(BY_HAND + text)
    places = os.pathsep.join([str(ROOT), str(ROOT / "sessions")])
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


ENDS = {
    "left open": ("watched.start()\ntrain(4)", 0, ("stopped", 4, "the program ended before finish() was called")),
    "left open, and raised": (
        "watched.start()\ntrain(4)\nraise ValueError('bad')",
        1,
        ("crashed", 4, "ValueError: bad"),
    ),
    "left at once": ("with watched:\n    train(4)\n    os._exit(5)", 5, ("killed", 4, None)),
    "left with a code": (
        "with watched:\n    train(4)\n    sys.exit(3)",
        3,
        ("stopped", 4, "the script ended itself with exit code 3"),
    ),
    "thread goes on": (
        "threading.Thread(target=lambda: [time.sleep(0.3), train(2)]).start()\nwith watched:\n    train(4)",
        0,
        ("finished", 4, None),
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_program_ends_with_a_complete_session(how: str, tmp_path: Path) -> None:
    text, code, ending = ENDS[how]
    done = program(tmp_path, text)
    assert done.returncode == code, done.stderr
    assert endings(tmp_path / "s.convdebug") == [ending]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_that_trains_on_leaves_the_recording_alone(tmp_path: Path) -> None:
    done = program(
        tmp_path,
        "with watched:\n"
        "    train(3)\n"
        "    child = multiprocessing.get_context('fork').Process(target=train, args=(5,))\n"
        "    child.start(); child.join(); print(child.exitcode, bool(model._forward_hooks), flush=True)\n"
        "    if os.fork() == 0:\n"
        "        train(2); sys.exit(0)\n"
        "    os.wait(); train(3)\n",
    )
    assert done.stdout.split() == ["0", "True"], done.stderr
    assert endings(tmp_path / "s.convdebug") == [("finished", 6, None)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_while_a_pause_is_wished_does_not_wait(tmp_path: Path) -> None:
    done = program(
        tmp_path,
        "import types\n"
        "with watched:\n"
        "    train(1)\n"
        "    watched._wishes.paused = True\n"
        "    if os.fork() == 0:\n"
        "        train(2); os._exit(0)\n"
        "    print(os.wait()[1]); watched._wishes.paused = False\n",
    )
    assert done.stdout.split() == ["0"], done.stderr
