"""Datasets, models, initializers, optimizers, … by name; the lists load no torch, the things they name do."""

from convdebug.catalogue.data_lists import AUGMENTATION, DATASETS, PREPROCESSING
from convdebug.catalogue.entry import Entry, Table, find
from convdebug.catalogue.lists import FAMILIES, TABLES, describe_catalogue, entry_of
from convdebug.catalogue.model_lists import ACTIVATIONS, INITIALIZERS, MODELS, TORCHVISION
from convdebug.catalogue.training_lists import OPTIMIZERS, REGULARIZERS, SCHEDULES

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATION",
    "DATASETS",
    "FAMILIES",
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
    "describe_catalogue",
    "entry_of",
    "find",
]
