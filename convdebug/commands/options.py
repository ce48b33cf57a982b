"""Options that several commands share, each with one meaning."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convdebug.catalogue.experiments import experiment as find_experiment
from convdebug.config import RunConfig, parse_set
from convdebug.errors import UserError
from convdebug_sessions import Diagnosis

if TYPE_CHECKING:
    from convdebug.target import Target

FAIL_ON = ("error", "warning", "never")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
session_option = click.option(
    "--session", "session_path", type=Path, metavar="FILE", help="Where to record (*.convdebug)."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)


def fail_on_option(default: str) -> Callable:
    """From which severity on a diagnosis makes the exit code 1."""
    return click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        default=default,
        show_default=True,
        help="Exit with 1 at this severity or worse.",
    )


def target_options(command: Callable) -> Callable:
    """RUN.toml, --target and --set: what is trained."""
    for option in (
        click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one key of the config."),
        click.option(
            "--target", "target_name", metavar="FILE.py:FUNCTION", help="Your own model: path/to/file.py:function."
        ),
        click.argument("run_toml", required=False, type=Path, metavar="[RUN.toml]"),
    ):
        command = option(command)
    return command


def resolve_target(
    run_toml: Path | None,
    target_name: str | None,
    changes: Sequence[str],
    experiment: str | None = None,
    base: dict[str, Any] | None = None,
    device: str = "auto",
) -> tuple["Target", RunConfig]:
    """The Target and the RunConfig that the options name; loads torch.

    Raises:
        UserError: an unknown key, a value out of range, a missing file, a target that is not one.
        TargetError: the user's function raised.
    """
    config = load_config(run_toml, changes, experiment, base)
    from convdebug.devices import choose_device
    from convdebug.target import Target, load_target

    choose_device(device)

    if target_name is not None:
        say_what_a_target_brings(changes)
        return load_target(target_name), config
    if experiment is None or "data.name" in settings_of(changes):
        return Target.from_config(config), config
    return experiment_target(experiment, config)


def say_what_a_target_brings(changes: Sequence[str]) -> None:
    """One line where `--set` names what a target of one's own decides itself."""
    own = [key for key in settings_of(changes) if not key.startswith(("train.", "watch."))]
    if own:
        names = ", ".join(own)
        line = f"convdebug: --target brings its own model, data and optimizer: --set {names} changes nothing in it"
        click.echo(line, err=True)


def experiment_target(name: str, config: RunConfig) -> tuple["Target", RunConfig]:
    """An experiment on its own data, or on the embedded default where the files are not here; says so once."""
    from convdebug.target import Target

    try:
        return Target.from_config(config), config
    except UserError as missing:
        click.echo(f"convdebug: {name} runs on shapes10, the embedded default, because {missing}", err=True)
        config = config.changed(**{"data.name": "shapes10"})
        return Target.from_config(config), config


def settings_of(changes: Sequence[str]) -> dict[str, Any]:
    """What the `--set KEY=VALUE` say, by dotted key."""
    return {key: value for change in changes for key, value in parse_set(change).items()}


def load_config(
    run_toml: Path | None, changes: Sequence[str], experiment: str | None = None, base: dict[str, Any] | None = None
) -> RunConfig:
    """The config of an experiment, of a recorded run (`base`), or of a file, with the changes applied in turn."""
    if experiment is not None:
        given = find_experiment(experiment).config()
    elif base is not None:
        given = RunConfig.of(base)
    else:
        return RunConfig.load(run_toml, list(changes))
    return given.changed(**settings_of(changes))


def exit_code(diagnoses: Sequence[Diagnosis], fail_on: str) -> int:
    """1 where a diagnosis is at or above the severity, else 0."""
    counted = {"error": {"error"}, "warning": {"error", "warning"}, "never": set()}[fail_on]
    return int(any(diagnosis.severity in counted for diagnosis in diagnoses))


def rate_range(text: str) -> tuple[float, float]:
    """`LOW:HIGH` as two rates, 0 < low < high."""
    match = re.fullmatch(r"([^:]+):([^:]+)", text)
    try:
        low, high = (float(part) for part in match.groups()) if match else (0.0, 0.0)
    except ValueError:
        raise UserError(f"--lr {text}: not two numbers; write LOW:HIGH, for example 1e-5:1") from None
    if not 0 < low < high < float("inf"):
        raise UserError(f"--lr {text}: needs 0 < LOW < HIGH, for example {_swapped(low, high)}")
    return low, high


def _swapped(low: float, high: float) -> str:
    return f"{high:g}:{low:g}" if 0 < high < low < float("inf") else "1e-5:1"
