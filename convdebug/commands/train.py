"""`convdebug train`: train a built-in or your own target, recorded, watched and diagnosed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convdebug.commands.export import require_folder, write_report
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
from convdebug.commands.recording import (
    conclude,
    live_rules,
    no_empty_session,
    open_recorder,
    runs_of,
    session_file,
)
from convdebug.commands.results import final_line, runs_as_json
from convdebug.errors import UserError
from convdebug_sessions import Diagnosis, Session

if TYPE_CHECKING:
    from convdebug.checkpoint import ResumePoint
    from convdebug.config import RunConfig
    from convdebug.target import Target
    from convdebug.train import Plan


@dataclass(frozen=True)
class Job:
    """What is to be trained, how, and from where."""

    target: "Target"
    plan: "Plan"
    resume: "ResumePoint | None" = None


@click.command()
@target_options
@click.option("--experiment", metavar="NAME", help="One of the lecture's experiments (`convdebug list --experiments`).")
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps; wins over the config's epochs and steps.")
@click.option(
    "--resume", type=Path, metavar="SESSION", help="Go on from the last checkpoint of this session's last run."
)
@click.option(
    "--stop-on", type=click.Choice(["error", "warning"]), help="Stop when a diagnosis of this severity appears."
)
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
    require_folder(report)
    if resume is not None:
        job = resumed_job(resume, target_name, changes, steps, device)
        path = session_path or resume
    else:
        job = new_job(run_toml, target_name, experiment, changes, steps, device)
        path = session_file(session_path, job.target.name)
    already = len(runs_of(path))
    try:
        with no_empty_session(path):
            run = record(job, path, stop_on=stop_on)
    except BaseException:
        for started in runs_of(path)[already:]:
            say(path, started.id, as_json)
        raise
    diagnoses = say(path, run, as_json)
    if report is not None:
        write_report(path, report)
    return exit_code(diagnoses, fail_on)


def new_job(
    run_toml: Path | None,
    target_name: str | None,
    experiment: str | None,
    changes: tuple[str, ...],
    steps: int | None,
    device: str,
) -> Job:
    """A training from its first step."""
    if experiment is not None and (target_name is not None or run_toml is not None):
        raise UserError("--experiment is a config of its own: give neither a RUN.toml nor --target with it")
    if steps is not None:
        changes = (*changes, f"train.steps={steps}")
    target, config = resolve_target(run_toml, target_name, changes, experiment)
    return Job(target, plan_on(config, device))


def resumed_job(
    session: Path, target_name: str | None, changes: tuple[str, ...], steps: int | None, device: str
) -> Job:
    """The last training of a session, from its last checkpoint, up to the steps it was planned for (or `steps`)."""
    from convdebug.checkpoint import ResumePoint

    point = ResumePoint.last_of(session)
    planned = steps or point.run.info.get("steps_planned")
    if point.run.config is None and target_name is None:
        target_name = point.run.info.get("target") if ":" in str(point.run.info.get("target")) else None
        if target_name is None:
            raise UserError(f"{session}: run {point.run.id} was made with a target of your own; name it with --target")
    if planned is not None and planned <= point.step:
        raise UserError(
            f"{session}: its {planned} steps are done; say how far to go with --steps (more than {point.step})"
        )
    base = point.run.config or {}
    changes = (*changes, f"train.steps={planned}", f"train.seed={point.run.info.get('seed', 0)}")
    target, config = resolve_target(None, target_name, changes, base=base)
    return Job(target, plan_on(config, device), point)


def plan_on(config: "RunConfig", device: str) -> "Plan":
    """The plan of a config; UserError where its device is not there."""
    from convdebug.devices import choose_device
    from convdebug.train import Plan

    plan = Plan.from_config(config, device)
    choose_device(plan.device)
    return plan


def record(job: Job, path: Path, *, stop_on: str | None = None) -> int:
    """Train and record into a session, with live rules beside and a bar; the opinions are complete in the end."""
    from convdebug.train import train as train_target

    recorder = open_recorder(path)
    try:
        with live_rules(path, stop_on), recorder, Bars() as bars:
            return train_target(
                job.target,
                recorder,
                job.plan,
                resume=job.resume,
                on_step=lambda done, total: bars.show(job.target.name, done, total),
            )
    finally:
        conclude(path)


def say(path: Path, run: int, as_json: bool) -> list[Diagnosis]:
    """Print what a session holds of a run: state, final numbers, diagnoses."""
    with Session.open(path) as session:
        chosen = session.run(run)
        diagnoses = session.diagnoses(run=chosen.id)
        if as_json:
            found = [diagnosis.as_json() for diagnosis in diagnoses]
            print_json({"session": str(path), "runs": runs_as_json(session), "diagnoses": found})
        else:
            click.echo(final_line(session, chosen))
            print_diagnoses(diagnoses)
            click.echo(f"session: {path}")
    return diagnoses
