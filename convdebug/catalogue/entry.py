"""An entry of the catalogue: a name, what it is, and where the function that builds it lives; loads no torch."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from convdebug.errors import UserError, nearest


@dataclass(frozen=True)
class Entry:
    """One thing that a RunConfig can name.

    ``function`` is ``module:function`` inside ``convdebug.catalogue``; ``settings`` holds the RunConfig keys that the
    entry reads, each with the value it takes when none is given (ranges are in the schema of RunConfig).
    """

    name: str
    function: str
    description: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def place(self) -> str:
        """Where the function is, as a full ``package.module:function``."""
        return f"convdebug.catalogue.{self.function}"

    def load(self) -> Callable[..., Any]:
        """The function itself; importing it may load torch."""
        module, _, function = self.place.partition(":")
        return getattr(importlib.import_module(module), function)

    def as_json(self) -> dict[str, Any]:
        """What ``convdebug describe`` prints."""
        return {
            "name": self.name,
            "function": self.place,
            "description": self.description,
            "settings": dict(self.settings),
            "source": self.source,
        }


Table = Mapping[str, Entry]


def table(*entries: Entry) -> Table:
    """An ordered table by name; a name that is there twice is a mistake of ours."""
    named = {entry.name: entry for entry in entries}
    if len(named) != len(entries):
        raise ValueError(f"a name appears twice among {[entry.name for entry in entries]}")
    return named


def find(entries: Table, key: str, name: str) -> Entry:
    """The entry called ``name``; UserError with the nearest name otherwise."""
    if name not in entries:
        raise UserError(f"{key} is {name!r}; it must be one of {', '.join(entries)}{nearest(name, entries)}")
    return entries[name]
