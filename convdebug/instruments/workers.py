"""Looks for random generators that the workers of a DataLoader get as copies in the same state."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from .instrument import Instrument, Moment, Scene

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
DEEPEST = 4
MOST_ITEMS = 16
RESEEDING = frozenset({"get_worker_info", "manual_seed", "seed", "set_state", "setstate", "default_rng", "RandomState"})
BEFORE_WORKERS = frozenset({"__init__", "__post_init__", "__new__", "__len__", "__repr__"})

Told = Callable[[DataLoader], None]
_listeners: list[Told] = []
_original: list[Any] = []


def listen_to_loaders(told: Told) -> None:
    """From now on tell `told` of every DataLoader that begins an epoch."""
    if not _listeners:
        _original.append(DataLoader.__iter__)
        DataLoader.__iter__ = _wrapped(DataLoader.__iter__)  # type: ignore[method-assign]
    _listeners.append(told)


def stop_listening_to_loaders(told: Told) -> None:
    """The last listener to leave puts torch's own function back."""
    if told in _listeners:
        _listeners.remove(told)
        if not _listeners:
            DataLoader.__iter__ = _original.pop()  # type: ignore[method-assign]


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def iterate(loader: DataLoader) -> Any:
        for told in tuple(_listeners):
            told(loader)
        return original(loader)

    return iterate


class Workers(Instrument):
    """The event `workers` {workers, generators}, once for each data set whose generators its workers share by copy."""

    name: ClassVar[str] = "workers"
    weight: ClassVar[float] = 0.05
    rarity: ClassVar[int] = 64

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._step = 0
        self._found: list[tuple[int, int, list[str]]] = []
        self._seen: set[int] = set()
        listen_to_loaders(self._hear)

    def _hear(self, loader: DataLoader) -> None:
        """Inside the user's code: looks at attributes only, draws nothing, and never raises."""
        if loader.num_workers < 2 or loader.worker_init_fn is not None or id(loader.dataset) in self._seen:
            return
        self._seen.add(id(loader.dataset))
        try:
            names = sorted(set(shared_generators(loader.dataset)))
        except Exception as problem:  # a property of the user's data set that raises must not end its training
            self.scene.run.event("note", self._step, text=f"workers were not looked at: {type(problem).__name__}")
            return
        if names:
            self.scene.run.event("workers", self._step, workers=loader.num_workers, generators=names)

    def record(self, moment: Moment) -> None:
        self._step = moment.step

    def finish(self) -> None:
        stop_listening_to_loaders(self._hear)


def shared_generators(owner: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Names of the generators in an object and in what it is made of, that its own methods draw from as they are."""
    if depth > DEEPEST:
        return
    if isinstance(owner, list | tuple):
        for index, part in enumerate(owner[:MOST_ITEMS]):
            yield from shared_generators(part, f"{path}[{index}]", depth + 1)
        return
    for name, value in vars(owner).items() if hasattr(owner, "__dict__") else ():
        place = f"{path}.{name}" if path else name
        if isinstance(value, GENERATORS):
            if _draws_from(type(owner), name):
                yield place
        elif isinstance(value, list | tuple) or (hasattr(value, "__dict__") and not isinstance(value, type)):
            yield from shared_generators(value, place, depth + 1)


def _draws_from(kind: type, name: str) -> bool:
    """Whether a method of the class mentions the attribute, and none gives generators a new state."""
    mentioned = [
        set(_names(value.__code__))
        for base in kind.__mro__
        for method, value in vars(base).items()
        if isinstance(value, FunctionType) and method not in BEFORE_WORKERS and _is_called(kind, method, value)
    ]
    return any(name in names for names in mentioned) and not any(names & RESEEDING for names in mentioned)


def _is_called(kind: type, method: str, value: FunctionType) -> bool:
    """Whether the class has this very method, or one that calls what it overrides."""
    own = getattr(kind, method, None)
    return own is value or (isinstance(own, FunctionType) and "super" in set(_names(own.__code__)))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)
