"""`convdebug check`: the sanity checks, each with a verdict."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convdebug.commands.export import require_folder, write_junit, write_report
from convdebug.commands.options import (
    device_option,
    exit_code,
    fail_on_option,
    json_option,
    resolve_target,
    session_option,
    target_options,
)
from convdebug.commands.printing import print_check, print_diagnoses, print_json
from convdebug.commands.progress import Bars
from convdebug.commands.recording import named_when_stopped, no_empty_session, open_recorder, session_file
from convdebug.errors import UserError
from convdebug_sessions import Diagnosis

if TYPE_CHECKING:
    from convdebug.checks.run import CheckReport
    from convdebug.target import Target

CLOSING_S = 4.0
"""What of the budget is kept for what comes after the checks: closing the session, the printed diagnoses."""


@click.command()
@target_options
@click.option("--only", metavar="ID,…", help="Only these checks.")
@click.option("--skip", metavar="ID,…", help="All but these checks.")
@click.option("--budget", type=click.FloatRange(min=1), default=90, show_default=True, help="Seconds for all of it.")
@click.option("--report", type=Path, metavar="FILE.html", help="Also write a self-contained report.")
@click.option("--junit", type=Path, metavar="FILE.xml", help="Also write the verdicts as JUnit XML.")
@session_option
@device_option
@fail_on_option("error")
@json_option
def check(
    run_toml: Path | None,
    target_name: str | None,
    changes: tuple[str, ...],
    only: str | None,
    skip: str | None,
    budget: float,
    report: Path | None,
    junit: Path | None,
    session_path: Path | None,
    device: str,
    fail_on: str,
    as_json: bool,
) -> int:
    """Run the sanity checks on a built-in or your own target."""
    began = time.perf_counter()
    from convdebug.checks.run import chosen_checks

    require_folder(report, junit)
    if math.isnan(budget):
        raise UserError("--budget nan: needs a number of seconds, at least 1")
    wanted, unwanted = _names(only), _names(skip)
    chosen_checks(wanted, unwanted)  # an unknown name is said before anything is built
    target, _ = resolve_target(run_toml, target_name, changes, device=device)
    path = session_file(session_path, f"check-{target.name}")
    with named_when_stopped(path):
        left = max(budget - (time.perf_counter() - began) - CLOSING_S, budget / 2)
        results = run_and_print(target, path, wanted, unwanted, left, device, as_json)
    write_documents(path, results, report, junit)
    diagnoses = [Diagnosis.from_json(each) for each in results.diagnoses]
    if as_json:
        print_json(results.as_json())
    else:
        if diagnoses or results.verdict == "pass":
            print_diagnoses(diagnoses)
        click.echo(f"verdict: {results.verdict}\nsession: {path}" + (f"\nreport: {report}" if report else ""))
    return int(results.verdict == "fail" and fail_on != "never") or exit_code(diagnoses, fail_on)


def run_and_print(
    target: "Target",
    path: Path,
    only: Sequence[str] | None,
    skip: Sequence[str] | None,
    budget: float,
    device: str,
    quiet: bool,
) -> "CheckReport":
    """Run the checks into the session, with a bar while each runs and a line when it is done."""
    from convdebug.checks.run import run_checks

    with no_empty_session(path), open_recorder(path) as recorder, Bars() as bars:

        def on_result(result: dict[str, Any]) -> None:
            bars.clear()
            if not quiet:
                print_check(result)

        return run_checks(
            target,
            recorder,
            only=only,
            skip=skip,
            budget_s=budget,
            device=device,
            on_progress=bars.show,
            on_result=on_result,
        )


def write_documents(path: Path, results: "CheckReport", report: Path | None, junit: Path | None) -> None:
    """The report and the JUnit file, where they are wanted."""
    if report is not None:
        write_report(path, report)
    if junit is not None:
        write_junit(results, junit)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
