"""The commands, each in a file of its own that is loaded only when it is called."""

import difflib
from importlib import import_module

import click

COMMANDS = {
    "open": "window:open_command",
    "demo": "demo:demo",
    "train": "train:train",
    "check": "check:check",
    "sweep": "sweep:sweep",
    "run": "run:run",
    "diagnose": "diagnose:diagnose",
    "explain": "explain:explain",
    "describe": "describe:describe",
    "list": "listing:list_command",
    "export": "export:export",
}


class CommandTable(click.Group):
    """Loads a command's module when it is asked for, so that `explain` or `list` never wait for torch."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        return getattr(import_module(f"convdebug.commands.{module}"), attribute)

    def resolve_command(self, context: click.Context, arguments: list[str]):
        name = arguments[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
            hint = f" (nearest: {near[0]})" if near else f" (commands: {', '.join(COMMANDS)})"
            raise click.UsageError(f"no command {name!r}{hint}")
        return super().resolve_command(context, arguments)
