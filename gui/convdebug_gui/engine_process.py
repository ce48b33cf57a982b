"""The engine as a child process: started at low priority, its ending told in words, able to outlive the window."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from PyQt6 import sip
from PyQt6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, pyqtSignal

NICENESS = 10
NOBODY: Any = None
TAIL_BYTES = 64 * 1024
PATIENCE_MS = {"wish": 6000, "interrupt": 4000, "terminate": 2000}


class Ending(Enum):
    """How an engine process came to its end."""

    OK = "ok"
    FAILED_CHECKS = "failed checks"
    BAD_INPUT = "bad input"
    TRAINING_CRASHED = "training crashed"
    OUT_OF_MEMORY = "out of memory"
    DISK_FULL = "disk full"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    CRASHED = "crashed"
    MISSING = "engine missing"


@dataclass(frozen=True)
class Outcome:
    """What is known when an engine process has ended: how, its exit code or signal, and its last words."""

    ending: Ending
    code: int
    line: str
    tail: str

    @property
    def well(self) -> bool:
        return self.ending in (Ending.OK, Ending.FAILED_CHECKS, Ending.INTERRUPTED)


def log_path(session: Path) -> Path:
    """The file beside a session that keeps what its engine says while no window may be listening."""
    return session.with_name(session.name + "-log")


class EngineProcess(QObject):
    """One `python -m convdebug …`; with a session its words go to a file, so that it can go on without a window."""

    started = pyqtSignal()
    finished = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None, program: str = sys.executable) -> None:
        super().__init__(parent)
        self._program = program
        self.session: Path | None = None
        self._process: QProcess | None = None
        self._log: Path | None = None
        self._errors = b""
        self._output = b""
        self._ending_timer = QTimer(self)
        self._ending_timer.setSingleShot(True)
        self._ending_timer.timeout.connect(self._press_harder)
        self._pressure: list[str] = []

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        return int(self._process.processId()) if self._process is not None else 0

    @property
    def output(self) -> bytes:
        """What the engine wrote to standard output; empty where its words go to a file."""
        return self._output

    def start(self, arguments: Sequence[str], session: Path | None = None) -> None:
        """Start the engine; a second start while one is running is a mistake of the caller."""
        if self._process is not None:
            raise RuntimeError("the engine is already running")
        self._errors = self._output = b""
        self.session = session
        self._log = log_path(session) if session is not None and os.access(session.parent, os.W_OK) else None
        self._process = process = self._new_process()
        process.start(self._program, ["-m", "convdebug", *arguments])

    def _new_process(self) -> QProcess:
        process = QProcess()
        process.setProcessEnvironment(_environment())
        process.setStandardInputFile(QProcess.nullDevice())
        if self._log is not None:
            process.setStandardOutputFile(QProcess.nullDevice())
            process.setStandardErrorFile(str(self._log))
        if os.name == "posix":
            parameters = QProcess.UnixProcessParameters()
            parameters.flags = QProcess.UnixProcessFlag.CreateNewSession
            process.setUnixProcessParameters(parameters)
        process.started.connect(self._on_started)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        process.readyReadStandardError.connect(self._collect)
        process.readyReadStandardOutput.connect(self._collect)
        return process

    def _on_started(self) -> None:
        lower_priority(self.pid)
        self.started.emit()

    def _collect(self) -> None:
        if self._process is not None and self._log is None:
            self._errors = (self._errors + self._process.readAllStandardError().data())[-TAIL_BYTES:]
            self._output += self._process.readAllStandardOutput().data()

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            reason = self._process.errorString().rpartition("execve: ")[2]
            self._end(Outcome(Ending.MISSING, -1, f"{self._program} cannot be started: {reason}", reason))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._collect()
        self._end(outcome(code, status == QProcess.ExitStatus.CrashExit, self._last_words()))

    def _last_words(self) -> str:
        if self._log is None:
            return self._errors.decode(errors="replace")
        return read_tail(self._log)

    def _end(self, result: Outcome) -> None:
        self._ending_timer.stop()
        self._pressure = []
        if self._process is not None:
            self._process.deleteLater()
        self._process = None
        if result.well and self._log is not None:
            self._log.unlink(missing_ok=True)
        self.finished.emit(result)

    def stop(self, wished: bool = False) -> None:
        """End the engine kindly: after a wish (where one was made) by interrupt, then terminate, then kill."""
        if self._process is None or self._pressure:
            return
        self._pressure = ["interrupt", "terminate", "kill"]
        if wished:
            self._ending_timer.start(PATIENCE_MS["wish"])
        else:
            self._press_harder()

    def _press_harder(self) -> None:
        if self._process is None or not self._pressure:
            return
        step = self._pressure.pop(0)
        if step == "kill":
            _signal_group(self.pid, "SIGKILL")
            self._process.kill()
            return
        if step == "interrupt" and os.name == "posix" and self.pid:
            os.kill(self.pid, signal.SIGINT)
        else:
            self._process.terminate()
        self._ending_timer.start(PATIENCE_MS[step])

    def kill(self) -> None:
        """End the engine at once and wait for it; for a window that must be gone now."""
        process, self._process = self._process, None
        self._ending_timer.stop()
        if process is None:
            return
        process.blockSignals(True)
        _signal_group(int(process.processId()), "SIGKILL")
        process.kill()
        process.waitForFinished(3000)
        process.deleteLater()

    def let_go(self) -> None:
        """Leave the engine running on its own; from here on only its session tells of it."""
        process, self._process = self._process, None
        self._ending_timer.stop()
        if process is not None:
            process.blockSignals(True)
            sip.transferto(process, NOBODY)  # never destroyed by Python: QProcess kills its child when it is destroyed


def outcome(code: int, crashed: bool, words: str) -> Outcome:
    """The exit code (or, of a crashed process, its signal) and the last words as an `Outcome`."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    line = lines[-1].removeprefix("convdebug: ") if lines else ""
    ending = _signal_ending(code) if crashed else _code_ending(code, words)
    return Outcome(ending, code, line, words.strip())


def _signal_ending(number: int) -> Ending:
    if number == signal.SIGINT or number == signal.SIGTERM:
        return Ending.INTERRUPTED
    return Ending.KILLED if number == getattr(signal, "SIGKILL", 9) else Ending.CRASHED


def _code_ending(code: int, words: str) -> Ending:
    plain = {0: Ending.OK, 130: Ending.INTERRUPTED}
    if code in plain:
        return plain[code]
    if re.search(r"No module named '?(convdebug|torch)\b", words):
        return Ending.MISSING
    if re.search(r"No space left on device|database or disk is full|disk is full", words):
        return Ending.DISK_FULL
    if re.search(r"OutOfMemoryError|out of memory|can't allocate memory|^MemoryError", words, re.MULTILINE):
        return Ending.OUT_OF_MEMORY
    if code == 1 and "Traceback (most recent call last)" not in words:
        return Ending.FAILED_CHECKS
    return {2: Ending.BAD_INPUT, 3: Ending.TRAINING_CRASHED}.get(code, Ending.CRASHED)


def read_tail(path: Path) -> str:
    """The end of a text file, at most 64 KiB; empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def lower_priority(pid: int) -> None:
    """Let the window and its neighbours go first: the threads a process starts later inherit this."""
    if pid and hasattr(os, "setpriority"):
        try:
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
        except ProcessLookupError:
            return  # it ended between its start and this line


def _signal_group(pid: int, name: str) -> None:
    if pid and os.name == "posix":
        try:
            os.killpg(pid, getattr(signal, name))
        except (ProcessLookupError, PermissionError):
            return  # the group is already gone


def _environment() -> QProcessEnvironment:
    environment = QProcessEnvironment.systemEnvironment()
    if not environment.contains("OMP_WAIT_POLICY"):
        environment.insert("OMP_WAIT_POLICY", "PASSIVE")
    environment.insert("PYTHONUNBUFFERED", "1")
    return environment
