"""`convdebug sweep`: which learning rates do nothing, learn, diverge."""

from functools import partial
from pathlib import Path

import click

from convdebug.commands.options import (
    device_option,
    fail_on_option,
    json_option,
    rate_range,
    resolve_target,
    session_option,
    target_options,
)
from convdebug.commands.printing import print_json
from convdebug.commands.progress import Bars
from convdebug.commands.recording import named_when_stopped, no_empty_session, open_recorder, session_file


@click.command()
@target_options
@click.option("--lr", "rates", default="1e-6:10", show_default=True, metavar="LOW:HIGH", help="The range of rates.")
@click.option(
    "--count",
    type=click.IntRange(2, 200),
    help="How many rates, log-spaced. Default: found coarse to fine, about a minute in all.",
)
@click.option(
    "--steps", type=click.IntRange(2), help="Steps of each trial. Default: as many as there is time for, 100 at most."
)
@click.option("--seeds", type=click.IntRange(1, 50), help="Trials of each rate. Default: up to 3 where rates learn.")
@session_option
@device_option
@fail_on_option("never")
@json_option
def sweep(
    run_toml: Path | None,
    target_name: str | None,
    changes: tuple[str, ...],
    rates: str,
    count: int | None,
    steps: int | None,
    seeds: int | None,
    session_path: Path | None,
    device: str,
    fail_on: str,
    as_json: bool,
) -> int:
    """Sweep the learning rate: short trials over a range of rates and some seeds."""
    low, high = rate_range(rates)
    target, _ = resolve_target(run_toml, target_name, changes, device=device)
    from convdebug.search.sweep import lr_sweep
    from convdebug.train import crashes_named

    path = session_file(session_path, f"sweep-{target.name}")
    with (
        named_when_stopped(path),
        crashes_named(target),
        no_empty_session(path),
        open_recorder(path) as recorder,
        Bars() as bars,
    ):
        result = lr_sweep(
            target,
            recorder,
            low=low,
            high=high,
            count=count,
            steps=steps,
            seeds=seeds,
            device=device,
            on_progress=partial(bars.show, "sweep"),
        )
    if as_json:
        print_json({"session": str(path)} | result.as_json())
    else:
        _print_trials(result.as_json(), path)
    return int(fail_on != "never" and all(trial.status == "diverged" for trial in result.trials))


def _print_trials(result: dict, path: Path) -> None:
    click.echo(f"{'rate':>10}  {'seed':>4}  {'steps':>5}  {'status':<8}  {'first loss':>10}  {'last loss':>10}")
    for trial in (*result["trials"], *result["longer"]):
        first, last = (f"{trial[key]:>10.4g}" for key in ("first_loss", "last_loss"))
        about = f"{trial['lr']:>10.2e}  {trial['seed']:>4}  {trial['steps']:>5}  {trial['status']:<8}"
        click.echo(f"{about}  {first}  {last}")
    suggestion = result["suggestion"]
    if suggestion["lr"] is not None:
        click.echo(
            f"suggestion: {suggestion['lr']:.2e} (works from {suggestion['low']:.2e} to {suggestion['high']:.2e})"
        )
    click.echo(f"{suggestion['why']}\nsession: {path}")
