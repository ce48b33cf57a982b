"""`convdebug run SCRIPT.py [ARGS]`: your own script, unchanged, watched."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convdebug.errors import UserError
from convdebug.script.saying import flush, say

if TYPE_CHECKING:
    from convdebug.script.watched import WatchedProgram
    from convdebug_sessions import Diagnosis, Recorder


class RunCommand(click.Command):
    """Everything after the script, or after `-m MODULE`, is the script's own, options too."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        place = self._module_at(arguments)
        if place is not None:
            arguments = [*arguments[: place + 2], "--", *arguments[place + 2 :]]
        return super().parse_args(context, arguments)

    def _module_at(self, arguments: list[str]) -> int | None:
        taking = {name for option in self.params if _takes_value(option) for name in option.opts}
        place = 0
        while place < len(arguments) and arguments[place].startswith("-") and arguments[place] != "--":
            if arguments[place] == "-m":
                return place
            place += 2 if arguments[place] in taking else 1
        return None


def _takes_value(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.is_flag


@click.command(cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option("--session", "session_path", type=Path, metavar="FILE", help="Where to record (*.convdebug).")
@click.option("--steps", type=click.IntRange(min=1), help="Stop the script after so many optimizer steps.")
@click.option("--checkpoints", type=click.IntRange(min=1), metavar="N", help="Keep the weights at every N-th step.")
@click.option(
    "--every", type=click.IntRange(min=1), metavar="N", help="Measure everything at every N-th step, whatever it costs."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="never",
    show_default=True,
    help="Exit with 1 at this severity or worse, where the script itself ends with 0.",
)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT.py [ARGS]...")
def run(
    session_path: Path | None,
    steps: int | None,
    checkpoints: int | None,
    every: int | None,
    fail_on: str,
    module: str | None,
    words: tuple[str, ...],
) -> int:
    """Run your own training script, unchanged, and watch what it trains.

    Its arguments, its folder and its exit code are its own; what convdebug has to say goes to standard error.
    """
    from convdebug.script.program import module_program, script_program
    from convdebug.script.watched import WatchedProgram

    if module is None and not words:
        raise UserError("name the script to run: convdebug run SCRIPT.py [ARGS], or -m MODULE")
    if session_path is not None:
        require_place(session_path)
    name = module or Path(words[0]).stem
    recording = Recording(session_path, name)
    limits = {"steps": steps, "checkpoints": checkpoints or 0, "every": every}
    watched = WatchedProgram(recording.open, limits)
    if module is None:
        program = script_program(words[0], words[1:])
        ending = watched.run(lambda: program)
    else:
        ending = watched.run(lambda: module_program(module, words))
    flush(sys.stdout)
    if watched.is_forked:
        return ending.code
    found = last_word(recording, watched)
    return ending.code or int(any(_counts(each.severity, fail_on) for each in found))


def require_place(path: Path) -> None:
    """UserError where no session can be recorded: known before the script starts rather than when it trains."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, a session is a file")
    if path.exists():
        from convdebug_sessions import Session

        Session.open(path).close()
    elif path.parent.exists() and not os.access(path.parent, os.W_OK):
        raise UserError(f"{path.parent} cannot be written into; name another file with --session")


class Recording:
    """The session of a script: a file, its recorder, and the live rules beside it, once the script trains."""

    def __init__(self, wanted: Path | None, name: str) -> None:
        self.path: Path | None = None
        self._wanted, self._name = wanted and wanted.absolute(), name
        self._beside = contextlib.ExitStack()

    def open(self) -> "Recorder":
        from convdebug.commands.recording import live_rules, open_recorder, session_file

        self.path = session_file(self._wanted, self._name)
        recorder = open_recorder(self.path)
        self._beside.enter_context(live_rules(self.path))
        say(f"recording into {self.path}")
        return recorder

    def close(self) -> None:
        """Wait for the rules to have read the last of it, and write the opinions once more."""
        from convdebug.commands.recording import conclude

        self._beside.close()
        if self.path is not None:
            conclude(self.path)


def last_word(recording: Recording, watched: "WatchedProgram") -> "list[Diagnosis]":
    """Judge the session and say on standard error how it went and what is ill; what fails here is only said."""
    try:
        recording.close()
        return how_it_went(recording, watched)
    except Exception as problem:  # the script has ended, and its exit code is its own
        say(f"{recording.path} could not be read: {type(problem).__name__}: {problem}")
        return []


def how_it_went(recording: Recording, watched: "WatchedProgram") -> "list[Diagnosis]":
    """Say it, run by run."""
    if recording.path is None:
        say(nothing_seen(watched))
        return []
    from convdebug.commands.results import final_line
    from convdebug_sessions import Session

    with Session.open(recording.path) as session:
        runs = watched.lookout.runs if watched.lookout is not None else []
        found: list[Diagnosis] = []
        for number in runs:
            say(final_line(session, session.run(number)))
            diagnoses = session.diagnoses(run=number)
            found += diagnoses
            say_diagnoses(diagnoses)
    say(f"session: {recording.path}")
    return found


def nothing_seen(watched: "WatchedProgram") -> str:
    """One line: why there is no session."""
    lookout = watched.lookout
    if watched.problem is not None:
        return f"nothing was recorded: {watched.problem}"
    if lookout is None:
        return "nothing was recorded: the script did not import torch"
    if lookout.backwards:
        seen = f"nothing was recorded: backward was called {lookout.backwards} times, but "
        if lookout.optimizers_made:
            return seen + "gave no gradient to any parameter that an optimizer holds"
        return seen + "no optimizer of torch.optim was made in this process"
    return "nothing was recorded: the script trained nothing in this process"


def say_diagnoses(diagnoses: "list[Diagnosis]") -> None:
    """One line each, consequences counted."""
    consequences = sum(each.caused_by is not None for each in diagnoses)
    for each in diagnoses:
        if each.caused_by is None:
            place = f" ({each.layer})" if each.layer else ""
            say(f"  {each.severity}: {each.rule}{place}: {each.message}")
    if consequences:
        say(f"  and {consequences} consequence{'s' if consequences > 1 else ''} of these")


def _counts(severity: str, fail_on: str) -> bool:
    return severity in {"error": ("error",), "warning": ("error", "warning"), "never": ()}[fail_on]
