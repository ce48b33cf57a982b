"""`convdebug export SESSION --to FORMAT PATH`: a report to read elsewhere, or the numbers as a table."""

from pathlib import Path

import click

from convdebug.errors import UserError
from convdebug_sessions import Session


@click.command()
@click.argument("session", type=Path)
@click.option("--to", "form", type=click.Choice(["html", "csv"]), required=True, help="A self-contained report, or a table.")
@click.option("--run", "run_id", type=int, help="Only this run (csv).")
@click.argument("path", type=Path)
def export(session: Path, form: str, run_id: int | None, path: Path) -> None:
    """Write a session out as an HTML report or as CSV."""
    with Session.open(session) as opened:
        try:
            if form == "html":
                from convdebug.report import html

                html.write(opened, path)
            else:
                from convdebug.report import csv

                csv.write(opened, opened.run(run_id).id, path)
        except OSError as problem:
            raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem
    click.echo(f"written {path}")
