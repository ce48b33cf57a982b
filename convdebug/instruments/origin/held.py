"""Keeps references to what went into the model, and the random state before it, until the step is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convdebug.instruments.harmless import harmless

from .isolation import tensors_in, versions_of

MOST_CALLS = 16
LOOK_EVERY = 17
"""Whether the model draws random numbers is looked at at the first, second, fourth, eighth … pass and at each 17th:
no multiple of the passes that a loop makes in one step."""


@dataclass(slots=True)
class Call:
    """One forward pass with recorded gradients: enough to run it again, and the gradients that came back to it."""

    inputs: tuple[Any, ...]
    keywords: dict[str, Any]
    versions: list[int]
    random: Tensor | None
    """None where the model seems to draw no random numbers."""
    device_random: tuple[int, int] | None
    autocast: tuple[str, torch.dtype] | None
    outputs: list[Tensor] = field(default_factory=list)
    gradients: dict[int, Tensor] = field(default_factory=dict)
    left: bool = False

    def tensors(self) -> list[Tensor]:
        """The floating tensors the model was given."""
        return tensors_in((self.inputs, self.keywords))

    def keep_gradients(self) -> None:
        """From now on keep what comes back to the outputs; costs more than all the rest, so only where it is needed."""
        for place, output in enumerate(self.outputs):
            if output.requires_grad:
                output.register_hook(partial(self.gradients.__setitem__, place))

    @property
    def changed(self) -> bool:
        """Whether the user's code has written into one of them since."""
        return versions_of(self.tensors()) != self.versions

    @property
    def nodes(self) -> set[Any]:
        """Where the model's part of the graph begins."""
        return {output.grad_fn for output in self.outputs if output.requires_grad}

    @property
    def batch(self) -> int | None:
        """The number of examples: the length of the first tensor given."""
        given = _first_tensor((self.inputs, self.keywords))
        return None if given is None or given.dim() == 0 else int(given.shape[0])


def may_drop(module: nn.Module) -> bool:
    """Whether a module is made to drop some of what passes; recurrent and attention layers have a share for it."""
    named = "drop" in type(module).__name__.lower()
    share = getattr(module, "p" if named else "dropout", None)
    return share > 0 if isinstance(share, float) else named


class Door:
    """Told of each forward pass of the model with recorded gradients; `entered` receives each call."""

    def __init__(
        self,
        model: nn.Module,
        entered: Callable[[Call], None],
        failed: Callable[[Exception], None],
        device: torch.device,
    ) -> None:
        self.device = device
        self.entered = entered
        self.broken, self.failed = False, failed
        self._kind = device.type
        self._last: Call | None = None
        self._draws = any(may_drop(module) for module in model.modules())
        self._passes = 0

    def _looks(self) -> bool:
        """Whether to look at this pass if the model draws random numbers; their state costs more than all the rest."""
        self._passes += 1
        return self._passes & (self._passes - 1) == 0 or self._passes % LOOK_EVERY == 0

    def close(self) -> None:
        """Hold nothing any longer."""
        self._last = None

    @harmless
    def pass_begins(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        plain = len(inputs) == 1 and not keywords and type(inputs[0]) is Tensor and not inputs[0].is_inference()
        kind = self._kind
        self._last = Call(
            inputs,
            keywords,
            [inputs[0]._version] if plain else versions_of(tensors_in((inputs, keywords))),
            torch.default_generator.get_state() if self._draws or self._looks() else None,
            _state_on(self.device) if kind == "cuda" else None,
            (kind, torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None,
        )
        self.entered(self._last)

    @harmless
    def pass_ends(self, output: Any) -> None:
        call = self._last
        if call is None:
            return
        self._last = None
        call.left = True
        if not self._draws and call.random is not None:
            self._draws = not torch.equal(call.random, torch.default_generator.get_state())
        call.outputs = [output] if type(output) is Tensor else tensors_in(output)


def _first_tensor(value: Any) -> Tensor | None:
    """The first tensor of any type, indices of tokens included."""
    if isinstance(value, Tensor):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return next((found for part in parts if (found := _first_tensor(part)) is not None), None)


def _state_on(device: torch.device) -> tuple[int, int]:
    """Seed and offset of the device's generator, which the host knows without asking the device."""
    generator = torch.cuda.default_generators[device.index if device.index is not None else torch.cuda.current_device()]
    return generator.initial_seed(), generator.get_offset()


@contextmanager
def as_it_was(call: Call, device: torch.device) -> Iterator[None]:
    """Random numbers and mixed precision as they were when the model was called."""
    if call.random is not None:
        torch.set_rng_state(call.random)
    if call.device_random is not None:
        generator = torch.cuda.default_generators[device.index or 0]
        generator.manual_seed(call.device_random[0])
        generator.set_offset(call.device_random[1])
    kind, dtype = call.autocast or (device.type, None)
    if kind == "meta":
        yield
        return
    with torch.autocast(kind, dtype=dtype, enabled=call.autocast is not None, cache_enabled=False):
        yield
