"""`convdebug demo`: the main job on the embedded default, in the window or, without a display, in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convdebug.commands.options import device_option, session_option
from convdebug.commands.window import display_available, open_window

if TYPE_CHECKING:
    from convdebug.checks.run import CheckReport

HEALTHY = ("data.limit=4000", "data.val_limit=1000", "data.batch_size=64", "train.steps=240", "schedule.name=cosine")
SICK = (
    "data.limit=2000",
    "data.val_limit=500",
    "model.name=two-layer",
    "optimizer.name=sgd",
    "optimizer.lr=1e6",
    "train.steps=60",
)
CHECK_SECONDS = 60


@click.command()
@session_option
@device_option
@click.option("--terminal", is_flag=True, help="In the terminal even where there is a display.")
def demo(session_path: Path | None, device: str, terminal: bool) -> int:
    """Check, train, measure and diagnose a convnet on the embedded default."""
    if display_available() and not terminal:
        return open_window(["demo"] + ([str(session_path)] if session_path else []))
    return demo_in_terminal(session_path, device)


def demo_in_terminal(session_path: Path | None, device: str) -> int:
    """Checks, a healthy run and a sick one into one session, a report beside it."""
    from convdebug.commands.export import write_report
    from convdebug.commands.recording import named_when_stopped, session_file

    path = session_file(session_path, "demo")
    with named_when_stopped(path):
        results = check_and_train(path, device)
    report = path.with_suffix(".html")
    write_report(path, report)
    click.echo(f"\nsession: {path}\nreport:  {report}\nTo look at it in the window: convdebug open {path}")
    return int(results.verdict == "fail")


def check_and_train(path: Path, device: str) -> "CheckReport":
    """What the demo shows, into one session."""
    from convdebug.commands.check import run_and_print
    from convdebug.commands.options import resolve_target

    click.echo("The embedded default: 32×32 pictures of ten classes, drawn here by a seeded generator.\n")
    click.echo(click.style("1. Sanity checks on a small convnet with batch norm", bold=True))
    healthy, _ = resolve_target(None, None, HEALTHY)
    results = run_and_print(healthy, path, None, None, CHECK_SECONDS, device, quiet=False)
    click.echo(click.style("\n2. A training that should go well", bold=True))
    train_and_print(path, HEALTHY, device)
    click.echo(click.style("\n3. A training that is ill: a two-layer net with a learning rate of 1e6", bold=True))
    train_and_print(path, SICK, device)
    return results


def train_and_print(path: Path, changes: tuple[str, ...], device: str) -> None:
    """Train what the changes describe and say what the rules found."""
    from convdebug.commands.train import new_job, record, say

    run = record(new_job(None, None, None, changes, None, device), path)
    say(path, run, as_json=False)
