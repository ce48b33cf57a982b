"""The command line. Exit codes: 0 done, 1 something is wrong, 2 bad use, 3 the training crashed, 130 Ctrl-C."""

import errno
import io
import os
import sys
import traceback

import click

from convdebug.commands import CommandTable, ReaderGone
from convdebug.errors import TargetError, UserError
from convdebug_sessions import SessionError


@click.command(
    cls=CommandTable,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="convdebug")
@click.pass_context
def cli(context: click.Context) -> int | None:
    """A debugger for the training of neural networks.

    Without a command it opens the window.
    """
    if context.invoked_subcommand is not None:
        return None
    from convdebug.commands.window import open_window

    return open_window([])


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="convdebug", standalone_mode=False)
        if not getattr(sys.stdout, "closed", True):  # a script may have closed it, or put something else in its place
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as problem:
        return _bad_use(problem.format_message())
    except (UserError, SessionError) as problem:
        return _bad_use(str(problem))
    except TargetError as crash:
        return _crashed(crash)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except (ReaderGone, BrokenPipeError):
        _drop_output()
        return 0
    except OSError as problem:
        if problem.errno != errno.ENOSPC or problem.filename is not None:
            raise
        _drop_output()
        return _bad_use("the disk under standard output is full")


def _drop_output() -> None:
    """What is left in the buffers must not raise once more on the way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bad_use(message: str) -> int:
    print("convdebug: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _crashed(crash: TargetError) -> int:
    if crash.__cause__ is not None:
        traceback.print_exception(crash.__cause__)
    print("convdebug: " + " ".join(str(crash).split()), file=sys.stderr)
    return 3


def main() -> None:
    """Entry point of the `convdebug` script; what a terminal's encoding lacks is printed as an escape."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (closed by the caller, as in `>&-`)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
