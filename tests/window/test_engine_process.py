"""The engine as a child process, with real processes: how it starts, ends, is ended, and outlives the window."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convdebug_gui.engine_process import NICENESS, Ending, EngineProcess, log_path, outcome
from convdebug_sessions import Session

CRASHING = """
import os, signal, torch
from convdebug import Target

def make(number):
    data = torch.utils.data.TensorDataset(torch.randn(64, 8), torch.randint(0, 3, (64,)))

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(8, 3)
            self.calls = 0

        def forward(self, inputs):
            self.calls += 1
            if self.calls > 12:
                if number == 0:
                    raise RuntimeError("the fuse blew")
                os.kill(os.getpid(), number)
            return self.layer(inputs)

    return Target(
        make_model=Net, train_data=data, val_data=None, loss=torch.nn.CrossEntropyLoss(),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1), batch_size=8,
    )

def raising(): return make(0)
def killed(): return make(signal.SIGKILL)
def segfault(): return make(signal.SIGSEGV)
"""


@pytest.fixture
def engine(qapp):
    process = EngineProcess()
    yield process
    process.kill()


def run(qtbot, engine, arguments, session=None, seconds=90):
    with qtbot.waitSignal(engine.finished, timeout=seconds * 1000) as ended:
        engine.start(arguments, session)
    return ended.args[0]


def sets(values):
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_a_run_that_ends_well_leaves_its_session_and_no_log(qtbot, engine, tmp_path, tiny):
    path = tmp_path / "run.convdebug"
    result = run(qtbot, engine, ["train", *sets(tiny), "--session", str(path)], path)
    assert result.ending == Ending.OK, result
    assert not log_path(path).exists()
    with Session.open(path) as session:
        assert session.run().status == "finished"


def test_bad_input_ends_with_its_one_line(qtbot, engine, tmp_path):
    path = tmp_path / "run.convdebug"
    result = run(qtbot, engine, ["train", "--set", "optimizer.lr=-1", "--session", str(path)], path)
    assert result.ending == Ending.BAD_INPUT
    assert result.line.startswith("optimizer.lr is -1")
    assert not path.exists()


def test_an_interrupt_ends_the_run_kindly_and_keeps_the_session(qtbot, engine, tmp_path, slow):
    path = tmp_path / "run.convdebug"
    engine.start(["train", *sets(slow), "--session", str(path)], path)
    qtbot.waitUntil(lambda: steps_of(path) > 5, timeout=60_000)
    with qtbot.waitSignal(engine.finished, timeout=60_000) as ended:
        engine.stop()
    assert ended.args[0].ending == Ending.INTERRUPTED
    with Session.open(path) as session:
        assert session.run().status == "stopped"


def steps_of(path):
    if not path.exists():
        return 0
    try:
        with Session.open(path) as session:
            return session.run().steps if session.runs else 0
    except Exception:
        return 0


@pytest.mark.parametrize(
    ("function", "ending"),
    [
        ("raising", Ending.TRAINING_CRASHED),
        ("killed", Ending.KILLED),
        ("segfault", Ending.CRASHED),
    ],
)
def test_every_way_to_die_is_told_apart(qtbot, engine, tmp_path, function, ending):
    (tmp_path / "mine.py").write_text(CRASHING)
    path = tmp_path / "run.convdebug"
    target = f"{tmp_path / 'mine.py'}:{function}"
    result = run(qtbot, engine, ["train", "--target", target, "--steps", "40", "--session", str(path)], path)
    assert result.ending == ending, result
    assert steps_of(path) >= 1
    if function == "raising":
        assert "the fuse blew" in result.tail


def test_a_missing_interpreter_is_a_missing_engine(qtbot, qapp):
    engine = EngineProcess(program="/nowhere/python")
    result = run(qtbot, engine, ["describe"])
    assert result.ending == Ending.MISSING
    assert "/nowhere/python" in result.line


def test_a_missing_package_is_a_missing_engine(qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    engine = EngineProcess(program=str(tmp_path / "bare" / "bin" / "python"))
    assert run(qtbot, engine, ["describe"]).ending == Ending.MISSING


def test_the_engine_runs_at_low_priority_with_passive_waiting(qtbot, engine, monkeypatch, tmp_path, slow):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    path = tmp_path / "run.convdebug"
    with qtbot.waitSignal(engine.started, timeout=10_000):
        engine.start(["train", *sets(slow), "--session", str(path)], path)
    assert os.getpriority(os.PRIO_PROCESS, engine.pid) == NICENESS
    qtbot.waitUntil(lambda: b"OMP_WAIT_POLICY=PASSIVE" in environment_of(engine.pid), timeout=5000)


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_a_waiting_policy_of_the_user_is_left_alone(qtbot, engine, monkeypatch, tmp_path, slow):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    path = tmp_path / "run.convdebug"
    engine.start(["train", *sets(slow), "--session", str(path)], path)
    qtbot.waitUntil(lambda: b"OMP_WAIT_POLICY=ACTIVE" in environment_of(engine.pid), timeout=5000)


LETTING_GO = """
import sys
from pathlib import Path
from PyQt6.QtCore import QCoreApplication, QTimer
from convdebug_gui.engine_process import EngineProcess
app = QCoreApplication([])
engine = EngineProcess()
path = Path(sys.argv[1])
def leave():
    print(engine.pid, flush=True)
    engine.let_go()
    app.quit()
engine.started.connect(lambda: QTimer.singleShot(100, leave))
engine.start(["train", *sys.argv[2:], "--session", str(path)], path)
app.exec()
"""


def test_an_engine_that_was_let_go_outlives_its_window_and_can_be_stopped_by_a_wish(qtbot, tmp_path, slow):
    path = tmp_path / "run.convdebug"
    command = [sys.executable, "-c", LETTING_GO, str(path), *sets(slow)]
    window = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    pid = int(window.stdout)
    try:
        qtbot.waitUntil(lambda: steps_of(path) > 5, timeout=60_000)
        with Session.open(path) as session:
            assert session.live
            session.wish("stop", None, session.run().id)
        qtbot.waitUntil(lambda: status_of(path) == "stopped", timeout=30_000)
    finally:
        end(pid)


def status_of(path):
    with Session.open(path) as session:
        return session.run().status


def end(pid):
    for _attempt in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the engine did not end by itself")


def test_words_about_memory_and_disk_are_understood():
    assert outcome(3, False, "torch.OutOfMemoryError: CUDA out of memory").ending == Ending.OUT_OF_MEMORY
    assert outcome(3, False, "OSError: [Errno 28] No space left on device").ending == Ending.DISK_FULL
    assert outcome(1, False, "verdict: fail").ending == Ending.FAILED_CHECKS
    assert outcome(130, False, "").ending == Ending.INTERRUPTED


def test_starting_twice_is_refused(engine):
    engine.start(["describe", "--json"])
    with pytest.raises(RuntimeError, match="already running"):
        engine.start(["describe"])
