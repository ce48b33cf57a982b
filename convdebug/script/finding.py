"""Finds the modules that own an optimizer's parameters, among all that are alive."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Family:
    """The outermost modules that own any of some parameters, and the smallest one that owns them all."""

    tops: tuple[nn.Module, ...]
    common: nn.Module | None
    orphans: tuple[Tensor, ...] = ()
    """Parameters that no module owns."""

    def candidates(self) -> tuple[nn.Module, ...]:
        """What may be called as a whole: the outermost first."""
        return self.tops if self.common is None or self.common in self.tops else (*self.tops, self.common)

    def roots_unheard(self) -> tuple[nn.Module, ...]:
        """What is trained, where nothing was heard of a call."""
        return (self.common,) if self.common is not None else self.tops


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Every tensor that the optimizer holds."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def family_of(parameters: Iterable[Tensor]) -> Family:
    """The modules around some parameters; looks at every living object (tens of milliseconds)."""
    wanted = {id(parameter): parameter for parameter in parameters}
    modules = living_modules()
    owned: set[int] = set()
    owners: list[nn.Module] = []
    for module in modules:
        own = {id(parameter) for parameter in module.__dict__.get("_parameters", {}).values()} & wanted.keys()
        if own:
            owned |= own
            owners.append(module)
    tops = _outermost(owners, modules)
    orphans = tuple(parameter for key, parameter in wanted.items() if key not in owned)
    common = _smallest(tops[0], owned) if len(tops) == 1 else None
    return Family(tuple(tops), common, orphans)


def living_modules() -> list[nn.Module]:
    """All modules of this process; `type` rather than `isinstance`, which would wake lazy proxies."""
    return [each for each in gc.get_objects() if issubclass(type(each), nn.Module) and not _is_scripted(each)]


def _is_scripted(module: nn.Module) -> bool:
    """TorchScript takes no hooks; what it trains belongs to the module it was made of, or to none."""
    return issubclass(type(module), torch.jit.ScriptModule)


def _outermost(owners: list[nn.Module], modules: list[nn.Module]) -> list[nn.Module]:
    parents: dict[int, list[nn.Module]] = {}
    for module in modules:
        for child in module.__dict__.get("_modules", {}).values():
            parents.setdefault(id(child), []).append(module)
    tops: dict[int, nn.Module] = {}
    seen: set[int] = set()
    waiting = list(owners)
    while waiting:
        module = waiting.pop(0)
        if id(module) in seen:
            continue
        seen.add(id(module))
        above = parents.get(id(module), [])
        waiting.extend(above)
        if not above:
            tops[id(module)] = module
    return list(tops.values())


def _smallest(top: nn.Module, owned: set[int]) -> nn.Module:
    """Down from the outermost module, as long as one child alone owns all of the parameters."""
    while True:
        inside = next((child for child in top.children() if owned <= {id(each) for each in child.parameters()}), None)
        if inside is None:
            return top
        top = inside
