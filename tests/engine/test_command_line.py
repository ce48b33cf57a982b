"""The command line as scripts use it: exit codes, JSON, and one clear line for whatever is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from convdebug.__main__ import run
from convdebug.commands.options import say_what_a_target_brings
from convdebug_sessions import Recorder, Session

SMALL = ["--set", "data.limit=200", "--set", "data.val_limit=64", "--set", "model.name=two-layer", "--device", "cpu"]
PLAIN = ["--set", "optimizer.name=sgd", "--set", "data.batch_size=32"]


def complaint(capsys, *arguments: str) -> str:
    """The one line on standard error of a command that must end with 2 and print nothing else."""
    assert run(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--set", "optimizer.learning_rate=1"], ["optimizer.learning_rate", "nearest: optimizer.lr"]),
        (["train", "--set", "data.name=cifar11"], ["cifar11", "nearest: cifar10"]),
        (["train", "--set", "model.name=vgg-bm"], ["vgg-bm", "nearest: vgg-bn"]),
        (["train", "--set", "optimizer.lr=fast"], ["optimizer.lr", "fast"]),
        (["train", "--set", "optimizer.lr=-0.1"], ["optimizer.lr", "-0.1"]),
        (["train", "--set", "optimizer.lr=nan"], ["optimizer.lr"]),
        (["train", "--set", "nonsense"], ["nonsense", "KEY=VALUE"]),
        (["train", "no-such.toml"], ["no-such.toml"]),
        (["train", "--target", "no_such_file.py:make"], ["no_such_file.py"]),
        (["train", "--set", "data.name=cifar10", "--set", "data.root=/no/such/folder"], ["/no/such/folder"]),
        (["train", "--experiment", "lr-too-hihg"], ["nearest: lr-too-high"]),
        (["train", "--steps", "0"], ["--steps"]),
        (["check", "--only", "overfit-21"], ["overfit-21", "nearest: overfit-20"]),
        (["check", "--skip", "dato"], ["nearest: data"]),
        (["check", "--only", "data", "--skip", "data"], ["no check is left", "overfit-20"]),
        (["check", "--budget", "nan"], ["--budget nan"]),
        (["check", "--report", "/tmp"], ["/tmp is a folder"]),
        (["check", "--session", "/proc/a.convdebug"], ["/proc/a.convdebug cannot be made"]),
        (["check", "--report", "/no/such/folder/report.html"], ["/no/such/folder/report.html"]),
        (["train", "--steps", "2", "--report", "/no/such/folder/report.html"], ["/no/such/folder/report.html"]),
        (["explain", "dead-rlu"], ["dead-rlu", "nearest: dead-relu"]),
        (["sweep", "--lr", "1:0.1"], ["1:0.1", "0.1:1"]),
        (["sweep", "--lr", "low:high"], ["low:high"]),
        (["diagnose", "no-such.convdebug"], ["no-such.convdebug"]),
        (["list", "/no/such/folder"], ["/no/such/folder"]),
        (["trian"], ["trian", "nearest: train"]),
        (["train", "--sesion", "x"], ["--sesion"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_bad_input_is_answered_in_one_line_that_names_it(capsys, arguments, words):
    line = complaint(capsys, *arguments)
    assert all(word in line for word in words), line


def test_settings_that_a_target_decides_itself_are_said_to_change_nothing(capsys):
    say_what_a_target_brings(["optimizer.lr=0.1", "train.steps=3", "model.name=vgg"])
    assert "optimizer.lr, model.name changes nothing" in capsys.readouterr().err
    say_what_a_target_brings(["train.steps=3", "watch.every=1"])
    assert capsys.readouterr().err == ""


def test_a_cuda_device_that_is_not_there_is_said_with_what_is(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    line = complaint(capsys, "train", *SMALL[:-2], "--device", "cuda", "--steps", "2")
    assert "no CUDA device" in line
    assert "cpu" in line


def test_files_that_are_no_sessions_are_told_apart(capsys, tmp_path):
    (tmp_path / "empty.convdebug").touch()
    (tmp_path / "text.convdebug").write_text("a letter, not a session, and long enough to be read as a header " * 4)
    assert "empty" in complaint(capsys, "diagnose", str(tmp_path / "empty.convdebug"))
    assert "not a" in complaint(capsys, "diagnose", str(tmp_path / "text.convdebug"))


@pytest.mark.parametrize("command", ["train", "check", "sweep"])
def test_a_model_that_cannot_be_built_leaves_no_empty_session(capsys, tmp_path, command):
    path = tmp_path / "a.convdebug"
    line = complaint(capsys, command, "--set", "model.name=torchvision:resnet19", "--session", str(path))
    assert "nearest: resnet18" in line
    assert not path.exists()


def test_a_failure_before_the_first_step_says_nothing_of_older_runs(capsys, tmp_path):
    path = str(tmp_path / "a.convdebug")
    assert run(["train", *SMALL, *PLAIN, "--steps", "2", "--session", path]) == 0
    capsys.readouterr()
    complaint(capsys, "train", "--set", "model.name=torchvision:resnet19", "--session", path)
    with Session.open(path) as session:
        assert len(session.runs) == 1


@pytest.mark.parametrize("command", ["train", "check", "sweep"])
def test_a_session_cut_in_the_middle_is_not_recorded_into(capsys, tmp_path, command):
    path = tmp_path / "a.convdebug"
    assert run(["train", *SMALL, *PLAIN, "--steps", "2", "--session", str(path)]) == 0
    capsys.readouterr()
    os.truncate(path, path.stat().st_size // 2)
    assert "is cut off" in complaint(capsys, command, *SMALL, "--session", str(path))


def test_a_training_prints_the_promised_json_and_diagnose_agrees(capsys, tmp_path):
    path = str(tmp_path / "a.convdebug")
    assert run(["train", *SMALL, *PLAIN, "--steps", "12", "--session", path, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (only,) = document["runs"]
    assert document["session"] == path
    assert {key: only[key] for key in ("id", "parent", "kind", "status", "steps")} == {
        "id": 1,
        "parent": None,
        "kind": "train",
        "status": "finished",
        "steps": 12,
    }
    assert set(only["final"]) == {"train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    run(["diagnose", path, "--json"])
    assert json.loads(capsys.readouterr().out)["diagnoses"] == document["diagnoses"]


def test_a_rate_of_a_million_is_named_first_and_the_divergence_is_its_consequence(capsys, tmp_path):
    path = str(tmp_path / "a.convdebug")
    train = ["train", *SMALL, *PLAIN, "--set", "optimizer.lr=1e6", "--steps", "20", "--session", path, "--json"]
    assert run(train) == 0
    found = json.loads(capsys.readouterr().out)["diagnoses"]
    assert found[0]["rule"] == "learning-rate-too-high"
    (diverged,) = [each for each in found if each["rule"] == "loss-diverged"]
    assert diverged["caused_by"] == "learning-rate-too-high"
    assert run(["diagnose", path]) == 1
    assert run(["diagnose", path, "--fail-on", "never"]) == 0


def test_ctrl_c_leaves_a_complete_session_and_exit_code_130(tmp_path):
    path = tmp_path / "a.convdebug"
    command = [sys.executable, "-m", "convdebug", "train", *SMALL, *PLAIN, "--steps", "1000000", "--session", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    steps = 0
    while steps < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
        if path.exists() and path.stat().st_size:
            with Session.open(path) as session:
                steps = session.run().steps if session.runs else 0
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    with Session.open(path) as session:
        assert session.run().status == "stopped"
    assert not [name for name in os.listdir(tmp_path) if name != "a.convdebug"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    "command",
    [
        ["check", *SMALL, "--only", "overfit-20,lr-sweep", "--budget", "600"],
        ["sweep", *SMALL, "--count", "100", "--steps", "100000"],
        ["demo", "--terminal", "--device", "cpu"],
    ],
    ids=["check", "sweep", "demo"],
)
def test_what_records_is_stopped_by_both_signals_with_a_complete_session_that_is_named(tmp_path, command, number):
    path = tmp_path / "a.convdebug"
    command = [sys.executable, "-m", "convdebug", *command, "--session", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    begun = False
    while not begun and time.monotonic() < deadline:
        time.sleep(0.1)
        if path.exists() and path.stat().st_size:
            with Session.open(path) as session:
                begun = any(run.steps for run in session.runs)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip() == f"convdebug: stopped; session: {path}"
    with Session.open(path) as session:
        assert {run.status for run in session.runs} <= {"finished", "stopped"}
        assert "stopped" in {run.status for run in session.runs}
    assert os.listdir(tmp_path) == ["a.convdebug"]


def test_a_target_that_raises_ends_with_3_and_the_users_traceback(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("def make():\n    raise ZeroDivisionError('my own mistake')\n")
    assert run(["train", "--target", f"{tmp_path / 'mine.py'}:make", "--steps", "2"]) == 3
    errors = capsys.readouterr().err
    assert "mine.py" in errors
    assert "my own mistake" in errors


RAISES_LATER = """
import convdebug, torch

LABELS = torch.arange(32) % 5


def late(scores, labels):
    raise ZeroDivisionError("my own loss")


def make():
    return convdebug.Target(
        make_model=lambda: torch.nn.Linear(8, 5),
        train_data=torch.utils.data.TensorDataset(torch.randn(32, 8), LABELS),
        loss=late,
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        batch_size=8,
    )
"""


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_training_that_raises_ends_with_3_and_its_session_says_crashed(capsys, tmp_path, command):
    (tmp_path / "late.py").write_text(RAISES_LATER)
    path = tmp_path / "a.convdebug"
    assert run([command, "--target", f"{tmp_path / 'late.py'}:make", "--steps", "4", "--session", str(path)]) == 3
    errors = capsys.readouterr().err
    assert "late.py" in errors
    assert errors.splitlines()[-1].endswith("ZeroDivisionError: my own loss")
    with Session.open(path) as session:
        assert session.runs[0].status == "crashed"
        (crash,) = session.events(run=1, kinds=["crash"])
        assert "my own loss" in crash.data["traceback"]


def test_describe_lists_what_the_form_and_the_wizard_need_without_loading_torch():
    script = (
        "import sys, json; from convdebug.commands.describe import description; d = description();"
        "assert 'torch' not in sys.modules and 'PyQt6' not in sys.modules;"
        "print(json.dumps([sorted(d), [c['id'] for c in d['checks']][:2]]))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    keys, checks = json.loads(answer.stdout)
    assert keys == sorted(
        ["catalogue", "checks", "devices", "experiments", "rules", "schema", "sessions_folder", "version", "versions"]
    )
    assert checks == ["data", "initial-loss"]


def test_the_list_shows_a_session_and_a_broken_file_side_by_side(capsys, tmp_path):
    run(["train", *SMALL, *PLAIN, "--steps", "3", "--session", str(tmp_path / "good.convdebug")])
    (tmp_path / "bad.convdebug").write_text("broken")
    capsys.readouterr()
    assert run(["list", str(tmp_path), "--json"]) == 0
    rows = {os.path.basename(row["path"]): row for row in json.loads(capsys.readouterr().out)}
    assert rows["good.convdebug"]["status"] == "finished"
    assert rows["bad.convdebug"]["problem"]


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell is needed")
@pytest.mark.parametrize("command", ["explain", "describe --json", "list --experiments"])
@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("| (read line; sleep 0.1)", 0, ""),
        ("| true", 0, ""),
        (">&-", 0, ""),
        ("> /dev/full", 2, "convdebug: the disk under standard output is full\n"),
    ],
)
def test_output_that_nobody_takes_ends_without_a_traceback(command, output, code, said):
    script = f'"{sys.executable}" -m convdebug {command} {output}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_name_that_is_no_text_is_opened_and_printed(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.convdebug"
    with Recorder.create(os.fsdecode(path)) as recorder:
        recorder.start_run("train")
    command = [sys.executable, "-m", "convdebug", "diagnose", path]
    said = subprocess.run([*command, "--json"], capture_output=True, timeout=60)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["session"] == os.fsdecode(path)
    os.truncate(path, 0)
    said = subprocess.run(command, capture_output=True, timeout=60)
    assert said.returncode == 2
    assert b"is empty" in said.stderr


def test_a_report_is_written_beside_a_training(capsys, tmp_path):
    report = tmp_path / "report.html"
    run(["train", *SMALL, *PLAIN, "--steps", "3", "--session", str(tmp_path / "a.convdebug"), "--report", str(report)])
    assert "two-layer on shapes10" in report.read_text()


def test_an_experiment_runs_on_the_embedded_default_where_its_data_is_missing(capsys, tmp_path):
    command = ["train", "--experiment", "lr-too-high", "--steps", "4", "--session", str(tmp_path / "a.convdebug")]
    assert run([*command, "--set", "data.root=/no/such/folder", "--set", "data.val_limit=50"]) == 0
    captured = capsys.readouterr()
    assert "shapes10" in captured.err
    assert "two-layer on shapes10" in captured.out
