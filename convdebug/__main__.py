"""The command line. Exit codes: 0 done, 1 something is wrong, 2 bad use, 3 the training crashed, 130 Ctrl-C."""

import io
import os
import sys
import traceback

import click

from convdebug.commands import CommandTable
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
    except BrokenPipeError:  # the reader of our output went away, as in `convdebug explain | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
