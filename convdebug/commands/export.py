"""`convdebug export SESSION --to FORMAT PATH`: a report to read elsewhere, or the numbers as a table."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from convdebug.errors import UserError
from convdebug_sessions import Session


@click.command()
@click.argument("session", type=Path)
@click.option(
    "--to", "form", type=click.Choice(["html", "csv"]), required=True, help="A self-contained report, or a table."
)
@click.option("--run", "run_id", type=int, help="Only this run (csv).")
@click.argument("path", type=Path)
def export(session: Path, form: str, run_id: int | None, path: Path) -> None:
    """Write a session out as an HTML report or as CSV."""
    if form == "html":
        write_report(session, path)
    else:
        write_table(session, run_id, path)
    click.echo(f"written {path}")


def write_report(session: Path, path: Path) -> None:
    """A self-contained HTML page; UserError where it cannot be written."""
    from convdebug.report import html

    with Session.open(session) as opened, _writing(path):
        html.write(opened, path)


def write_table(session: Path, run_id: int | None, path: Path) -> None:
    """The series of one run as CSV; UserError where it cannot be written."""
    from convdebug.report import csv

    with Session.open(session) as opened, _writing(path):
        csv.write(opened, None if run_id is None else opened.run(run_id).id, path)


def write_junit(results: Any, path: Path) -> None:
    """The verdicts of checks as JUnit XML; UserError where it cannot be written."""
    from convdebug.report import junit

    with _writing(path):
        junit.write(results, path)


def require_folder(*paths: Path | None) -> None:
    """UserError where a file is wanted that cannot be written: said before the work, not after it."""
    for path in filter(None, paths):
        folder = path.absolute().parent
        if not folder.is_dir():
            raise UserError(f"{path}: its folder does not exist")
        if path.is_dir():
            raise UserError(f"{path} is a folder, a file is wanted")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise UserError(f"{path}: no permission to write it")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem
