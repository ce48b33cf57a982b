"""Datasets, models, initializers, optimizers, … by name; the lists load no torch, the things they name do."""

from convdebug.catalogue.entry import Entry, Table, find
from convdebug.catalogue.lists import (
    ACTIVATIONS,
    AUGMENTATION,
    DATASETS,
    INITIALIZERS,
    MODELS,
    OPTIMIZERS,
    PREPROCESSING,
    REGULARIZERS,
    SCHEDULES,
    TABLES,
    TORCHVISION,
    entry_of,
)

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATION",
    "DATASETS",
    "INITIALIZERS",
    "MODELS",
    "OPTIMIZERS",
    "PREPROCESSING",
    "REGULARIZERS",
    "SCHEDULES",
    "TABLES",
    "TORCHVISION",
    "Entry",
    "Table",
    "entry_of",
    "find",
]
