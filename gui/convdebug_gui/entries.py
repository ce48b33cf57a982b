"""What the chosen entries of the engine's catalogue bring along: their own defaults, and which settings they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TABLES = {
    "data.name": "datasets",
    "data.preprocessing": "preprocessing",
    "data.augmentation": "augmentation",
    "model.name": "models",
    "model.init": "initializers",
    "model.activation": "activations",
    "optimizer.name": "optimizers",
    "schedule.name": "schedules",
}
BRING_SETTINGS = ("data.name", "model.name", "optimizer.name", "schedule.name")
Catalogue = Mapping[str, list[Mapping[str, Any]]]


def settings_of(catalogue: Catalogue, key: str, name: Any) -> Mapping[str, Any] | None:
    """The settings that one entry reads, each with its usual value; None where it is not in the table."""
    entries = catalogue.get(TABLES[key], ())
    return next((entry.get("settings") or {} for entry in entries if entry.get("name") == name), None)


def usual_values(catalogue: Catalogue, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the chosen entries bring where nothing is given."""
    values: dict[str, Any] = {}
    for key in BRING_SETTINGS:
        values |= settings_of(catalogue, key, chosen.get(key)) or {}
    return values


def unread_keys(catalogue: Catalogue, chosen: Mapping[str, Any]) -> set[str]:
    """The settings that only entries read which are not chosen."""
    by_some: set[str] = set()
    read: set[str] = set()
    for key, table in TABLES.items():
        for entry in catalogue.get(table, ()):
            by_some |= set(entry.get("settings") or ())
        mine = settings_of(catalogue, key, chosen.get(key))
        if mine is None and chosen.get(key) is not None:  # a name outside the table may read anything of its section
            read |= {name for name in by_some if name.startswith(key.partition(".")[0] + ".")}
        read |= set(mine or ())
    return by_some - read


def summary(catalogue: Catalogue, key: str, name: Any) -> str:
    """What an entry is, in its own words."""
    entries = catalogue.get(TABLES.get(key, ""), ())
    return next((str(entry.get("description", "")) for entry in entries if entry.get("name") == name), "")
