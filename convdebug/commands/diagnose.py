"""`convdebug diagnose SESSION`: the rules over a saved session, or over a growing one until it ends."""

from pathlib import Path

import click

from convdebug.commands.options import exit_code, fail_on_option, json_option
from convdebug.commands.printing import print_diagnoses, print_json
from convdebug.commands.results import final_line, runs_as_json
from convdebug_sessions import Session

TRAININGS = ("train", "watch", "branch")


@click.command()
@click.argument("session", type=Path)
@click.option("--run", "run_id", type=int, help="Only this run.")
@click.option("--follow", is_flag=True, help="Read a growing session and write opinions into it until it ends.")
@click.option(
    "--stop-on", type=click.Choice(["error", "warning"]), help="With --follow: wish the run stopped at this severity."
)
@fail_on_option("error")
@json_option
def diagnose(session: Path, run_id: int | None, follow: bool, stop_on: str | None, fail_on: str, as_json: bool) -> int:
    """Say what is wrong in a session, causes first."""
    from convdebug.diagnose import diagnose_session
    from convdebug.diagnose import follow as follow_session

    if follow:
        follow_session(session, stop_on=stop_on)
        with Session.open(session) as opened:
            return exit_code(opened.diagnoses(run=0), fail_on)
    with Session.open(session) as opened:
        if run_id is not None:
            opened.run(run_id)
        found = diagnose_session(opened, run_id)
        if as_json:
            document = {
                "session": str(session),
                "runs": runs_as_json(opened),
                "diagnoses": [each.as_json() for each in found],
            }
            print_json(document)
        else:
            print_diagnoses(found, heading=f"Diagnoses of {session}")
            _print_unfinished(opened, run_id)
    return exit_code(found, fail_on)


def _print_unfinished(session: Session, run_id: int | None) -> None:
    """Trainings that did not come to their end: nothing ill before it is no sign of health."""
    runs = [run for run in session.runs if run_id in (None, run.id)]
    if not runs:
        click.echo("there is no run in it")
    for run in runs:
        if run.kind in TRAININGS and run.status != "finished":
            click.echo(final_line(session, run))
