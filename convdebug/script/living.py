"""Optimizers and modules that are not kept alive by being known."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


class LivingOptimizers(list[Optimizer]):
    """Looks like a list of those optimizers that the script still holds."""

    def __init__(self, optimizers: Iterable[Optimizer] = ()) -> None:
        super().__init__()
        self._references = [weakref.ref(each) for each in optimizers]

    def _alive(self) -> list[Optimizer]:
        return [optimizer for reference in self._references if (optimizer := reference()) is not None]

    def append(self, optimizer: Optimizer) -> None:
        self._references.append(weakref.ref(optimizer))

    def __iter__(self) -> Iterator[Optimizer]:
        for reference in self._references:
            optimizer = reference()
            if optimizer is not None:
                yield optimizer

    def __len__(self) -> int:
        return len(self._alive())

    def __bool__(self) -> bool:
        return any(reference() is not None for reference in self._references)

    def __getitem__(self, place: int) -> Optimizer:  # type: ignore[override]
        return self._alive()[place]

    def __contains__(self, optimizer: object) -> bool:
        return optimizer in self._alive()


class LivingModules:
    """Every module that the script makes, copies or loads between `start` and `stop`, as long as it lives.

    To look for them among all living objects costs a tenth of a second and more; to hear of each costs a microsecond.
    """

    def __init__(self) -> None:
        self._references: dict[int, weakref.ref[nn.Module]] = {}
        self._originals: list[Any] = []

    def start(self) -> None:
        self._originals = [nn.Module.__init__, nn.Module.__setstate__]
        nn.Module.__init__ = self._telling(nn.Module.__init__)  # type: ignore[method-assign]
        nn.Module.__setstate__ = self._telling(nn.Module.__setstate__)  # type: ignore[method-assign]

    def stop(self) -> None:
        nn.Module.__init__, nn.Module.__setstate__ = self._originals  # type: ignore[method-assign]
        self._references.clear()

    def known(self) -> list[nn.Module]:
        """Those that were heard of, the oldest first."""
        found = [module for reference in list(self._references.values()) if (module := reference()) is not None]
        return [module for module in found if not _is_scripted(module)]

    def _telling(self, original: Any) -> Any:
        references = self._references

        @functools.wraps(original)
        def told(module: nn.Module, *args: Any, **kwargs: Any) -> None:
            if torch.compiler.is_compiling():  # made inside a compiled function: it is the compiler's
                return original(module, *args, **kwargs)
            key = id(module)
            references[key] = weakref.ref(module, lambda _reference: references.pop(key, None))
            return original(module, *args, **kwargs)

        return told


def modules_by_walk() -> list[nn.Module]:
    """All modules of this process; `type` rather than `isinstance`, which would wake lazy proxies."""
    return [each for each in gc.get_objects() if issubclass(type(each), nn.Module) and not _is_scripted(each)]


def _is_scripted(module: nn.Module) -> bool:
    """TorchScript takes no hooks; what it trains belongs to the module it was made of, or to none."""
    return issubclass(type(module), torch.jit.ScriptModule)
