"""What to tell when something went wrong: what happened, what is safe, what to do; words only, no widgets."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convdebug_gui.engine_process import Ending, Outcome


@dataclass(frozen=True)
class Notice:
    """A banner's words; `details` is the traceback or the engine's last words, `again` offers to run again."""

    severity: str
    title: str
    happened: str
    safe: str
    advice: str
    details: str = ""
    again: bool = False


def of_outcome(outcome: Outcome, session: Path | None = None, steps: int = 0) -> Notice | None:
    """The notice for an engine's end; none where it ended well."""
    makers = {
        Ending.TRAINING_CRASHED: _training_crashed,
        Ending.OUT_OF_MEMORY: _out_of_memory,
        Ending.DISK_FULL: _disk_full,
        Ending.KILLED: _killed,
        Ending.CRASHED: _crashed,
        Ending.MISSING: _missing,
        Ending.BAD_INPUT: _bad_input,
    }
    maker = makers.get(outcome.ending)
    return maker(outcome, kept(session, steps)) if maker is not None else None


def kept(session: Path | None, steps: int) -> str:
    """What of the recording is safe, in a sentence."""
    if session is None or not session.exists():
        return "Nothing had been recorded yet, and nothing else was touched."
    if steps == 0:
        return f"The session is kept in {session.name}; no step had been recorded yet."
    return f"All {steps:,} recorded steps are safe in {session.name}.".replace(",", " ")


def last_error(words: str) -> str:
    """The line that names the exception at the end of a traceback; the last line where there is none."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit|Interrupt|Warning)\b", line)]
    return (named or lines or ["no word was left"])[-1]


def _training_crashed(outcome: Outcome, safe: str) -> Notice:
    return Notice(
        "error",
        "The training raised an error",
        last_error(outcome.tail),
        safe,
        "The traceback names the line. Mend it, then press Run.",
        outcome.tail,
        again=True,
    )


def _out_of_memory(outcome: Outcome, safe: str) -> Notice:
    return Notice(
        "error",
        "Out of memory",
        last_error(outcome.tail),
        safe,
        "Halve the batch size, or choose a smaller model, then press Run.",
        outcome.tail,
        again=True,
    )


def _disk_full(outcome: Outcome, safe: str) -> Notice:
    return Notice(
        "error",
        "The disk is full",
        last_error(outcome.tail),
        safe,
        "Make room, or save the next session somewhere else, then press Run.",
        outcome.tail,
        again=True,
    )


def _killed(outcome: Outcome, safe: str) -> Notice:
    return Notice(
        "error",
        "The engine was killed",
        "Its process was ended from outside (SIGKILL); most often the system does that when memory runs out.",
        safe,
        "If nobody did it on purpose: halve the batch size, or close other programs, then press Run.",
        outcome.tail,
        again=True,
    )


def _crashed(outcome: Outcome, safe: str) -> Notice:
    name = _signal_name(outcome.code) if "Traceback" not in outcome.tail else last_error(outcome.tail)
    return Notice(
        "error",
        "The engine crashed",
        f"Its process ended by {name}." if "Traceback" not in outcome.tail else name,
        safe,
        "Press Run to try again. If it happens again, a C extension or the driver is the likely place.",
        outcome.tail,
        again=True,
    )


def _signal_name(number: int) -> str:
    names = {item.value: item.name for item in signal.Signals}
    meanings = {
        "SIGSEGV": "a segmentation fault",
        "SIGABRT": "an abort",
        "SIGBUS": "a bus error",
        "SIGILL": "a bad instruction",
    }
    name = names.get(number, f"code {number}")
    return f"{meanings[name]} ({name})" if name in meanings else name


def _missing(outcome: Outcome, safe: str) -> Notice:
    module = re.search(r"No module named '?([\w.]+)", outcome.tail)
    what = f"Python has no module {module[1].removesuffix('.__main__')}." if module else outcome.line
    return Notice(
        "error",
        "The engine cannot start",
        what,
        "Saved sessions can be opened and replayed without it.",
        "Install it into the same environment (pip install convdebug brings torch along), then press Run.",
        outcome.tail,
        again=True,
    )


def _bad_input(outcome: Outcome, safe: str) -> Notice:
    return Notice(
        "warning", "The engine refused this run", outcome.line, safe, "Change it in the form, then press Run."
    )


def session_gone(session: Path) -> Notice:
    """The file that is shown was moved away or deleted."""
    return Notice(
        "warning",
        "The session is no longer there",
        f"{session} was moved or deleted while it was open.",
        "What is on screen was read before and stays until you leave it.",
        "Put the file back, or open it from its new place.",
    )


def refused(words: str) -> Notice:
    """A session could not be opened, read or written."""
    return Notice(
        "warning", "The session cannot be used", words, "Nothing was changed.", "Choose another one, or mend it."
    )


def own_error(line: str, words: str) -> Notice:
    """A mistake in the window itself."""
    return Notice(
        "error",
        "The window made a mistake",
        line,
        "Trainings and sessions are not touched by it.",
        "You can go on. Copy this text into a report of the bug.",
        words,
    )


def of_crash(data: Mapping[str, Any], session: Path, steps: int) -> Notice:
    """A recorded crash of a run that is looked at later."""
    return Notice(
        "error",
        "This training raised an error",
        f"{data.get('type', 'Error')}: {data.get('message', '')}",
        kept(session, steps),
        "The traceback names the line. Mend it, then press Run.",
        str(data.get("traceback") or ""),
        again=True,
    )


def writer_gone(session: Path, steps: int, words: str = "") -> Notice:
    """A training that this window did not start, or let go, is gone without a last word."""
    return Notice(
        "error",
        "The training was killed",
        "The process that wrote this session is gone without a last word.",
        kept(session, steps),
        "Press Run to start again with the same configuration.",
        words,
        again=True,
    )
