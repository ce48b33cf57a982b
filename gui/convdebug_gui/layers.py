"""The layers of a run in forward order, with the parameter that speaks for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convdebug_gui.ticks import short_layer_names


@dataclass(frozen=True)
class Layer:
    """`index` of `count` is its depth; `weight` names the parameter drawn for its gradient and its updates."""

    name: str
    short: str
    index: int
    count: int
    kind: str = ""
    activation: str | None = None
    weight: str | None = None


def layers_of(info: Mapping[str, Any], series: Sequence[str]) -> list[Layer]:
    """From what the run says of itself; where it says nothing, from the names of its series."""
    told = [entry for entry in info.get("layers") or () if isinstance(entry, dict) and entry.get("name")]
    if not told:
        told = [{"name": name, "parameters": parameters} for name, parameters in _guessed(series).items()]
    shorts = short_layer_names([str(entry["name"]) for entry in told])
    shapes = _shapes(info)
    return [
        Layer(
            str(entry["name"]), short, index, len(told), str(entry.get("kind") or ""), entry.get("activation"),
            _weight(entry.get("parameters") or (), shapes),
        )
        for index, (entry, short) in enumerate(zip(told, shorts, strict=True))
    ]  # fmt: skip


def _shapes(info: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    parameters = info.get("parameters") or ()
    return {str(entry["name"]): tuple(entry.get("shape") or ()) for entry in parameters if "name" in entry}


def _weight(parameters: Iterable[str], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    names = [str(name) for name in parameters]
    matrices = [name for name in names if len(shapes.get(name, ())) >= 2]
    weights = [name for name in names if name.endswith("weight")]
    return next(iter(matrices or weights or names), None)


def _guessed(series: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in series:
        first, _, rest = name.partition("/")
        middle, _, _last = rest.rpartition("/")
        if first == "activation" and middle:
            found.setdefault(middle, [])
        elif first in ("gradient", "update") and middle:
            owner, _, _leaf = middle.rpartition(".")
            parameters = found.setdefault(owner or middle, [])
            if middle not in parameters:
                parameters.append(middle)
    return found
