"""`convdebug train`: train a built-in or your own target, recorded, watched and diagnosed."""

from pathlib import Path

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
from convdebug.commands.printing import print_diagnoses, print_json
from convdebug.commands.progress import Bars
from convdebug.commands.recording import conclude, live_rules, open_recorder, session_file
from convdebug.commands.results import final_line, runs_as_json
from convdebug.errors import UserError
from convdebug_sessions import Diagnosis, Session


@click.command()
@target_options
@click.option("--experiment", metavar="NAME", help="One of the lecture's experiments (`convdebug list --experiments`).")
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps; wins over the config's epochs and steps.")
@click.option("--resume", type=Path, metavar="SESSION", help="Go on from the last checkpoint of this session's last run.")
@click.option("--stop-on", type=click.Choice(["error", "warning"]), help="Stop when a diagnosis of this severity appears.")
@click.option("--report", type=Path, metavar="FILE.html", help="Also write a self-contained report.")
@session_option
@device_option
@fail_on_option("never")
@json_option
def train(
    run_toml: Path | None,
    target_name: str | None,
    changes: tuple[str, ...],
    experiment: str | None,
    steps: int | None,
    resume: Path | None,
    stop_on: str | None,
    report: Path | None,
    session_path: Path | None,
    device: str,
    fail_on: str,
    as_json: bool,
) -> int:
    """Train and record, with live rules beside; Ctrl-C leaves a complete session that can be resumed."""
    if resume is not None:
        job = resumed_job(resume, target_name, changes, steps, device)
        path = session_path or resume
    else:
        job = new_job(run_toml, target_name, experiment, changes, steps, device)
        path = session_file(session_path, job.target.name)
    try:
        run = record(job, path, stop_on=stop_on)
    except BaseException:
        if path.exists():
            _say(path, None, as_json)
        raise
    diagnoses = _say(path, run, as_json)
    if report is not None:
        from convdebug.commands.export import write_report

        write_report(path, report)
    return exit_code(diagnoses, fail_on)
