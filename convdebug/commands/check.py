"""`convdebug check`: the sanity checks, each with a verdict."""

from pathlib import Path
from typing import Any

import click

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
from convdebug.commands.recording import open_recorder, session_file


@click.command()
@target_options
@click.option("--only", metavar="ID,…", help="Only these checks.")
@click.option("--skip", metavar="ID,…", help="All but these checks.")
@click.option("--budget", type=click.FloatRange(min=1), default=90, show_default=True, help="Seconds for all checks together.")
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
    from convdebug.checks.table import known_checks

    wanted, unwanted = known_checks(only), known_checks(skip)
    target, _ = resolve_target(run_toml, target_name, changes)
    path = session_file(session_path, f"check-{target.name}")
    results = run_and_print(target, path, wanted, unwanted, budget, device, as_json)
    write_documents(path, results, report, junit)
    if as_json:
        print_json(results.as_json())
    else:
        print_diagnoses(results.diagnoses)
        click.echo(f"verdict: {results.verdict}\nsession: {path}" + (f"\nreport: {report}" if report else ""))
    return int(results.verdict == "fail" and fail_on != "never") or exit_code(results.diagnoses, fail_on)


def run_and_print(target: Any, path: Path, only, skip, budget: float, device: str, quiet: bool) -> Any:
    """Run the checks into the session, with a bar while each runs and a line when it is done."""
    from convdebug.checks import run_checks

    with open_recorder(path) as recorder, Bars() as bars:

        def on_result(result: Any) -> None:
            bars.clear()
            if not quiet:
                print_check(result.as_json())

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


def write_documents(path: Path, results: Any, report: Path | None, junit: Path | None) -> None:
    """The report and the JUnit file, where they are wanted."""
    if report is not None:
        from convdebug.commands.export import write_report

        write_report(path, report)
    if junit is not None:
        from convdebug.report import junit as junit_writer

        junit_writer.write(results, junit)
