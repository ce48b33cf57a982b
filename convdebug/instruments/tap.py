"""Listens to one forward pass: samples of every layer's output, and the maximum of every unit that can die."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from .anatomy import FUNCTIONS, RECTIFIERS, Layer, first_tensor, layer_of, measured_modules, unit_axis
from .hook import Hook
from .mapped import transform
from .sampling import Samples

MOST_CALLS = 64
"""What is shared by many places, a parameterless module or a function called behind one module, is measured at each
of its first calls, as layers `relu`, `relu.2` …"""
LOOK_AGAIN_EVERY = 32
"""Where no functional activation was seen, one in this many forward passes is looked through again."""


@dataclass
class Reading:
    """What one layer put out: its row in the samples, and the maxima of its units if it is a rectifier."""

    layer: Layer
    row: int
    maxima: Tensor | None


class FunctionListener(TorchFunctionMode):
    """Tells the tap of every activation function called, however the user's code refers to it."""

    def __init__(self, told: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self.told = told

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        activation = FUNCTIONS.get(function)
        if activation is not None and isinstance(output, Tensor):
            self.told(activation, output)
        return output


class Tap:
    """Hooks on the layers of a model, there only on the steps that are measured.

    Values are copied inside the hook: an in-place activation overwrites what a reference would hold.
    """

    def __init__(self, model: nn.Module, device: torch.device, clock: Callable[[], float], functions: bool = True):
        self.model = model
        self.device = device
        self.clock = clock
        self.samples = Samples(device)
        self.readings: list[Reading] = []
        self.seconds = 0.0
        self.wants_gradients = True
        self.failure: Exception | None = None
        self._functions = functions
        self._functions_seen = False
        self._passes = 0
        self._calls: dict[str, int] = {}
        self._layers: dict[tuple[str, torch.Size], Layer] = {}
        self._last_output: Tensor | None = None
        self._last_function = ""
        self._stem = ""
        self._listener: FunctionListener | None = None
        self._complete = False
        self._hooks: list[RemovableHandle] = []

    @property
    def attached(self) -> bool:
        return bool(self._hooks)

    def __deepcopy__(self, _memo: Any) -> Tap:
        return self  # a copy of the model (an average of its weights) brings its hooks along

    def attach(self) -> None:
        """Hook every measured module and the root; does nothing if they are hooked."""
        if self._hooks:
            return
        for name, module in measured_modules(self.model):
            self._hooks.append(module.register_forward_hook(Hook(self._hook_of(name))))
        self._hooks.append(self.model.register_forward_pre_hook(Hook(self._begin)))
        self._hooks.append(self.model.register_forward_hook(Hook(self._end), always_call=True))

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._stop_listening()

    def clear(self) -> None:
        """Ready for the next step: the first forward pass that records gradients is the one that counts."""
        self.readings.clear()
        self.samples.clear()
        self._calls.clear()
        self._complete = False
        self._last_output = None
        self._stem = ""

    def spent(self) -> float:
        """Seconds spent inside the hooks since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def _hook_of(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            started = self.clock()
            try:
                self._see_module(name, module, output)
            except Exception as problem:  # inside the user's forward pass: kept, and raised when the step is over
                self._fail(problem)
            self.seconds += self.clock() - started

        return hook

    def _fail(self, problem: Exception) -> None:
        self.failure = problem
        self._complete = True

    def _begin(self, _model: nn.Module, _inputs: Any) -> None:
        look = self._functions_seen or self._passes % LOOK_AGAIN_EVERY == 0
        if self._functions and look and self._listener is None and self._is_open():
            self._listener = FunctionListener(self._see_function)
            self._listener.__enter__()

    def _end(self, _model: nn.Module, _inputs: Any, _output: Any) -> None:
        listened = self._listener is not None
        self._stop_listening()
        self._last_output = None
        if not self._is_open() or not self.readings:
            return
        self._passes += 1
        self._complete = True
        if listened:
            self._functions_seen = any(reading.layer.kind == "function" for reading in self.readings)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.__exit__(None, None, None)
            self._listener = None

    def _is_open(self) -> bool:
        """Not inside a transform of `torch.func` or while exported: what is computed there cannot be copied out."""
        if self._complete or torch.is_grad_enabled() != self.wants_gradients:
            return False
        return transform() is None and not torch.compiler.is_compiling()

    def _see_module(self, name: str, module: nn.Module, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None or not self._takes(tensor):
            return
        if tensor is self._last_output:
            self._take_back()
        self._stem = name
        calls = self._calls[name] = self._calls.get(name, 0) + 1
        if calls > 1 and (calls > MOST_CALLS or next(module.parameters(recurse=False), None) is not None):
            return
        place = name if calls == 1 else f"{name}.{calls}"
        key = (place, tensor.shape)
        layer = self._layers.get(key)
        if layer is None:
            layer = self._layers[key] = layer_of(place, module, tensor.shape, self._previous())
        self._take(layer, tensor)

    def _see_function(self, activation: str, tensor: Tensor) -> None:
        started = self.clock()
        try:
            if tensor.is_floating_point() and self._takes(tensor):
                self._take_function(activation, tensor)
        except Exception as problem:  # inside the user's forward pass: kept, and raised when the step is over
            self._fail(problem)
        self.seconds += self.clock() - started

    def _take_function(self, activation: str, tensor: Tensor) -> None:
        name = f"{self._stem}.{activation}" if self._stem else activation
        calls = self._calls[name] = self._calls.get(name, 0) + 1
        self._last_output, self._last_function = tensor, name
        if calls > MOST_CALLS:
            return
        place = name if calls == 1 else f"{name}.{calls}"
        key = (place, tensor.shape)
        layer = self._layers.get(key)
        if layer is None:
            axis = unit_axis(None, tensor.shape, self._previous())
            units = int(tensor.shape[axis]) if tensor.dim() else 1
            layer = self._layers[key] = Layer(place, "function", activation, units, axis)
        self._take(layer, tensor)

    def _takes(self, tensor: Tensor) -> bool:
        return self._is_open() and tensor.device == self.device and tensor.numel() > 0

    def _previous(self) -> Layer | None:
        return self.readings[-1].layer if self.readings else None

    def _take(self, layer: Layer, tensor: Tensor) -> None:
        values = tensor.detach()
        row = self.samples.add(values)
        maxima = None
        if layer.activation in RECTIFIERS and values.dim() > 1:
            maxima = values.amax([axis for axis in range(values.dim()) if axis != layer.axis])
        self.readings.append(Reading(layer, row, maxima))

    def _take_back(self) -> None:
        """The function seen last was called by an activation module: the module's own reading replaces it."""
        name = self._last_function
        if self._calls[name] <= MOST_CALLS:
            self.readings.pop()
            self.samples.drop_last()
        self._calls[name] -= 1
        self._last_output = None
