"""All lists of the catalogue together, and how an entry is found; loads no torch."""

from typing import Any

from convdebug.catalogue.data_lists import AUGMENTATION, DATASETS, PREPROCESSING
from convdebug.catalogue.entry import Entry, Table, find
from convdebug.catalogue.model_lists import ACTIVATIONS, INITIALIZERS, MODELS, TORCHVISION
from convdebug.catalogue.training_lists import OPTIMIZERS, REGULARIZERS, SCHEDULES

TABLES: dict[str, Table] = {
    "data.name": DATASETS,
    "data.preprocessing": PREPROCESSING,
    "data.augmentation": AUGMENTATION,
    "model.name": MODELS,
    "model.activation": ACTIVATIONS,
    "model.init": INITIALIZERS,
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
}
"""The table behind every RunConfig key that names something."""

FAMILIES: dict[str, Table] = {
    "datasets": DATASETS,
    "preprocessing": PREPROCESSING,
    "augmentation": AUGMENTATION,
    "models": MODELS,
    "activations": ACTIVATIONS,
    "initializers": INITIALIZERS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "regularizers": REGULARIZERS,
}
"""Every table by what it holds."""


def entry_of(key: str, name: str) -> Entry:
    """The entry that ``key = name`` chooses; UserError with the nearest name otherwise."""
    if key == "model.name" and name.startswith("torchvision:"):
        return TORCHVISION
    return find(TABLES[key], key, name)


def describe_catalogue() -> dict[str, list[dict[str, Any]]]:
    """Every table as plain data, for ``convdebug describe``."""
    described = {family: [entry.as_json() for entry in entries.values()] for family, entries in FAMILIES.items()}
    described["models"].append(TORCHVISION.as_json())
    return described
