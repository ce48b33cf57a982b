"""`convdebug describe`: what this engine can do, from torch-free tables, for the window and for scripts."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from convdebug import __version__
from convdebug.commands.options import json_option
from convdebug.commands.printing import print_json
from convdebug_sessions import default_folder

PACKAGES = ("torch", "torchvision", "numpy", "PyQt6", "pyqtgraph")


@click.command()
@json_option
def describe(as_json: bool) -> None:
    """List the catalogue, the config's schema, checks, rules, experiments, versions and devices."""
    document = description()
    if as_json:
        print_json(document)
        return
    click.echo(f"convdebug {__version__} on {', '.join(device['name'] for device in document['devices'])}")
    for kind, entries in document["catalogue"].items():
        click.echo(f"{kind + ':':<15} {', '.join(entry['name'] for entry in entries)}")
    for kind in ("checks", "rules", "experiments"):
        names = (entry.get("id") or entry["name"] for entry in document[kind])
        click.echo(f"{kind + ':':<15} {', '.join(names)}")


def description() -> dict[str, Any]:
    """The document of `describe --json`; loads neither torch nor Qt."""
    from convdebug.catalogue import describe_catalogue
    from convdebug.catalogue.experiments import EXPERIMENTS
    from convdebug.checks import CHECKS
    from convdebug.config import RunConfig
    from convdebug.rules import rules_table

    return {
        "version": __version__,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "devices": devices(),
        "schema": RunConfig.json_schema(),
        "catalogue": describe_catalogue(),
        "checks": [check.as_json() for check in CHECKS],
        "rules": rules_table(),
        "experiments": [experiment.as_json() for experiment in EXPERIMENTS],
        "sessions_folder": str(default_folder()),
    }


def devices() -> list[dict[str, str]]:
    """The processor, and the NVIDIA devices that the driver's tool names (torch would take seconds to load)."""
    found = [{"id": "cpu", "name": platform.processor() or platform.machine()}]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return found
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=10, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return found  # a driver that does not answer is no device
    return found + [{"id": f"cuda:{index}", "name": name} for index, name in enumerate(answer.stdout.splitlines())]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
