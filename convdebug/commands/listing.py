"""`convdebug list`: the sessions of a folder, or the experiments, a line each."""

import datetime
from pathlib import Path
from typing import Any

import click

from convdebug.commands.options import json_option
from convdebug.commands.printing import print_json
from convdebug.errors import UserError


@click.command(name="list")
@click.argument("folder", required=False, type=Path)
@click.option("--experiments", is_flag=True, help="The lecture's experiments instead.")
@json_option
def list_command(folder: Path | None, experiments: bool, as_json: bool) -> None:
    """List sessions in a folder (by default where sessions are kept), or the experiments."""
    rows = _experiments() if experiments else _sessions(folder)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("no sessions here yet; `convdebug demo` makes one")


def _experiments() -> list[dict[str, Any]]:
    from convdebug.catalogue.experiments import EXPERIMENTS

    return [experiment.as_json() for experiment in EXPERIMENTS]


def _sessions(folder: Path | None) -> list[dict[str, Any]]:
    from convdebug_sessions import default_folder, library

    place = folder or default_folder()
    if folder is not None and not place.is_dir():
        what = "a file, and sessions are listed by folder" if place.exists() else "no such folder"
        raise UserError(f"{place}: {what}")
    return [
        {
            "path": str(found.path),
            "modified": found.modified,
            "runs": found.runs,
            "status": found.status,
            "steps": found.steps,
            "final_loss": found.final_loss,
            "severity": found.severity,
            "problem": found.problem,
        }
        for found in (library(place) if place.is_dir() else [])
    ]


def _line(row: dict[str, Any]) -> str:
    if "title" in row:
        return f"{row['name']:<26} {row['title']}"
    when = datetime.datetime.fromtimestamp(row["modified"]).strftime("%Y-%m-%d %H:%M")
    if row["problem"]:
        return f"{when}  {row['path']}  ({row['problem']})"
    loss = "" if row["final_loss"] is None else f"  loss {row['final_loss']:.4g}"
    counts = f"{row['status']}  {row['runs']} runs  {row['steps']} steps{loss}"
    return f"{when}  {row['path']}  {counts}  {row['severity'] or ''}".rstrip()
