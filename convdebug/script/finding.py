"""Finds the modules that own an optimizer's parameters, among all that are alive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from .living import modules_by_walk


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


def family_of(parameters: Iterable[Tensor], known: Sequence[nn.Module] = ()) -> Family:
    """The modules around some parameters: among those known, else among all that are alive (a tenth of a second).

    Several outermost modules may have one around them that nobody heard being made.
    """
    wanted = {id(parameter): parameter for parameter in parameters}
    family = _family_among(known, wanted)
    sure = not family.orphans and len(family.tops) == 1
    return family if sure else _family_among(modules_by_walk(), wanted)


def _family_among(modules: Sequence[nn.Module], wanted: dict[int, Tensor]) -> Family:
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


def _outermost(owners: list[nn.Module], modules: Sequence[nn.Module]) -> list[nn.Module]:
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
