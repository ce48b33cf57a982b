"""Tensors that are trained though no module owns them, dressed as a module so that they can be watched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import Tensor, nn


class LooseTensors(nn.Module):
    """Names each tensor as the script does, where that is found; it is never called and owns nothing."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        named = dict(zip(names_in_script(tensors), tensors, strict=True))
        object.__setattr__(self, "tensors", named)

    def named_parameters(self, *_args: Any, **_kwargs: Any) -> Iterator[tuple[str, Any]]:
        yield from self.tensors.items()  # type: ignore[operator, union-attr]

    def parameters(self, *_args: Any, **_kwargs: Any) -> Iterator[Any]:
        yield from self.tensors.values()  # type: ignore[operator]

    def state_dict(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.tensors)  # type: ignore[arg-type]


def names_in_script(tensors: list[Tensor]) -> list[str]:
    """The variables that hold the tensors, else `tensor.0`, `tensor.1`, …"""
    places = {id(tensor): place for place, tensor in enumerate(tensors)}
    names = [f"tensor.{place}" for place in range(len(tensors))]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for name, value in list(frame.f_locals.items()):
            place = places.get(id(value))
            if place is not None and name.isidentifier() and names[place].startswith("tensor.") and name not in names:
                names[place] = name
        frame = frame.f_back
    return names
