"""`convdebug run`: the script unchanged, what is found in it, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convdebug_sessions import Session

from . import run_scripts as scripts

ROOT = Path(__file__).resolve().parent.parent.parent


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(ROOT), str(ROOT / "gui"), str(ROOT / "sessions")])
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )


def watched(folder: Path, text: str, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(text)
    command = ["-m", "convdebug", "run", "--session", "s.convdebug", "--every", "1", *options, "train.py", *words]
    return python(folder, *command)


def session_of(folder: Path) -> Session:
    return Session.open(folder / "s.convdebug")


def printed(done: subprocess.CompletedProcess[str]) -> list[float]:
    lines = [line.split() for line in done.stdout.splitlines()]
    return [float(words[0]) for words in lines if len(words) < 2 or len(words[0]) < 30]


def test_a_plain_script_is_left_as_it_is_and_its_validation_is_found(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.PLAIN, "--epochs", "2", "--steps", "x")
    bare = python(tmp_path, "train.py", "--epochs", "2", "--steps", "x")
    assert done.stdout == bare.stdout, done.stderr
    assert (done.returncode, bare.returncode) == (0, 0)
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("found")]
    with session_of(tmp_path) as session:
        run = session.run()
        assert (run.name, run.status, run.steps) == ("Net", "finished", 12)
        for place, series in enumerate(("val/loss", "val/accuracy")):
            steps, values = session.series(series)
            assert list(steps) == [5, 11]
            assert values == pytest.approx([float(row[place]) for row in found], abs=1e-5)
        assert {"train/accuracy", "loss/cross_entropy", "activation/a.relu/std"} <= set(session.series_names())
        assert not session.events(kinds=["instrument-failed"])


def test_a_script_that_maps_its_gradients_over_the_examples_is_watched_to_its_end(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.SAMPLE_BY_SAMPLE)
    assert done.stdout == python(tmp_path, "train.py").stdout
    assert "unwatched" not in done.stderr
    with session_of(tmp_path) as session:
        assert session.run().steps == 12
        assert session.series("update/a.weight/ratio")[0].size == 12
        assert not session.events(kinds=["instrument-failed"])


@pytest.mark.parametrize(
    "first", ["import convdebug.watch", "from convdebug import watch", "from convdebug import Target"]
)
def test_a_script_whose_torch_comes_with_convdebug_is_watched(tmp_path: Path, first: str) -> None:
    done = watched(tmp_path, f"{first}\n{scripts.PLAIN}", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "unwatched" not in done.stderr
    with session_of(tmp_path) as session:
        assert session.run().steps == 6


def test_the_exit_code_of_a_script_is_its_own(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.PLAIN, "--leave", "7")
    assert done.returncode == 7
    with session_of(tmp_path) as session:
        assert session.run().status == "stopped"
        assert "exit code 7" in str(session.run().reason)


def test_each_model_of_a_gan_is_a_run_with_the_losses_of_its_own_updates(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.GAN)
    assert done.returncode == 0, done.stderr
    rows = np.array([line.split() for line in done.stdout.splitlines()[:-1]], dtype=float)
    with session_of(tmp_path) as session:
        assert [run.name for run in session.runs] == ["Critic", "Generator"]
        for run, losses in zip(session.runs, rows.T, strict=True):
            assert session.series("train/loss", run.id)[1] == pytest.approx(losses, abs=1e-5)
        of_functions = session.series("loss/binary_cross_entropy_with_logits", 1)[1]
        assert of_functions == pytest.approx(rows[:, 0] / 2, abs=1e-5)
        assert [run.info.get("fed_by") for run in session.runs] == ["Generator", None]
        assert "train/accuracy" not in session.series_names(2)


@pytest.mark.parametrize("name", ["ACCUMULATION", "LBFGS", "HAND", "RAW", "TWO_OPTIMIZERS"])
def test_the_loss_is_the_one_whose_gradients_are_applied(name: str, tmp_path: Path) -> None:
    done = watched(tmp_path, getattr(scripts, name))
    bare = python(tmp_path, "train.py")
    assert done.stdout == bare.stdout, done.stderr
    with session_of(tmp_path) as session:
        assert len(session.runs) == 1
        assert session.series("train/loss")[1] == pytest.approx(printed(done), rel=1e-3)
        assert ("train/accuracy" in session.series_names()) == (name != "HAND")
        assert not session.events(kinds=["instrument-failed"])


def test_validation_is_computed_where_the_script_hides_it_and_never_on_the_training_data(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.LABELS_OUT_OF_SIGHT, "tell")
    with session_of(tmp_path) as session:
        assert len(session.series("val/accuracy")[1]) == 1, done.stderr
        assert session.series("val/loss")[1] == pytest.approx([float(done.stdout)], abs=1e-5)


def test_an_exception_looks_as_under_python_and_is_in_the_session(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.ENDS, "raise")
    bare = python(tmp_path, "train.py", "raise")
    assert done.returncode == bare.returncode == 1
    assert bare.stderr in done.stderr
    with session_of(tmp_path) as session:
        assert (session.run().status, session.run().steps) == ("crashed", 6)
        crash = session.events(kinds=["crash"])[0].data
        assert crash["message"] == "the data are not there"
        assert "convdebug" not in crash["traceback"].replace(str(ROOT), "")


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (signal.SIGINT, 130, "stopped"),
        (signal.SIGTERM, -signal.SIGTERM, "stopped"),
        (signal.SIGKILL, -signal.SIGKILL, "killed"),
    ],
)
def test_a_script_that_is_interrupted_leaves_its_steps(number: int, code: int, status: str, tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.ENDS, str(int(number)))
    assert done.returncode == code, done.stderr
    with session_of(tmp_path) as session:
        assert (session.run().status, session.run().steps) == (status, 6)


def test_a_limit_of_steps_ends_the_script(tmp_path: Path) -> None:
    done = watched(tmp_path, scripts.PLAIN, "--epochs", "100", options=("--steps", "3", "--checkpoints", "2"))
    assert done.returncode == 0, done.stderr
    with session_of(tmp_path) as session:
        assert session.run().steps == 3
        assert "--steps" in str(session.run().reason)
        assert [event.step for event in session.events(kinds=["checkpoint"])] == [0, 2]


def test_a_module_is_run_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "fit.py").write_text(scripts.PLAIN)
    words = ("-m", "pack.fit", "--epochs", "1", "--steps", "3")
    done = python(tmp_path, "-m", "convdebug", "run", "--session", "s.convdebug", *words)
    assert done.stdout == python(tmp_path, *words).stdout, done.stderr


def test_a_script_that_trains_nothing_is_told_so_in_one_line(tmp_path: Path) -> None:
    done = watched(tmp_path, "import sys\nprint('hello')\nsys.exit(4)\n")
    assert (done.returncode, done.stdout) == (4, "hello\n")
    assert done.stderr.splitlines() == ["convdebug: nothing was recorded: the script did not import torch"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("tran.py",), "script tran.py does not exist (nearest: train.py)"),
        (("pack",), "pack is a folder; name the script in it (nearest: main.py)"),
        (("notes.txt",), "notes.txt is not a Python script"),
        (("-m", "pack.mian"), "module pack.mian does not exist (nearest: pack.main)"),
        ((), "name the script to run"),
    ],
)
def test_bad_use_is_one_line(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "notes.txt").write_text("no code here\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "main.py").write_text("")
    done = python(tmp_path, "-m", "convdebug", "run", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr


def test_a_window_may_set_the_rate_and_stop_the_script(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(scripts.PLAIN.replace("num_workers=1", "num_workers=0"))
    command = [sys.executable, "-m", "convdebug", "run", "--session", "s.convdebug", "train.py", "--epochs", "100000"]
    places = os.pathsep.join([str(ROOT), str(ROOT / "gui"), str(ROOT / "sessions")])
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("found")
        with session_of(tmp_path) as session:
            session.wish("set", {"optimizer.lr": 0.01}, run=1)
            session.wish("stop", run=1)
        process.communicate(timeout=60)
    assert process.returncode == 0
    with session_of(tmp_path) as session:
        assert session.run().status == "stopped"
        assert session.events(kinds=["change"])[0].data["new"] == 0.01


def test_a_script_may_close_what_it_printed_on(tmp_path: Path) -> None:
    text = scripts.PLAIN.replace("        say(model)", "    say(model)")
    text = text.replace('if __name__ == "__main__":\n    main()', "main()\nsys.stdout.close()")
    assert "stdout.close()" in text
    done = watched(tmp_path, text, "--epochs", "1")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    with session_of(tmp_path) as session:
        assert (session.run().status, session.run().steps) == ("finished", 6)
