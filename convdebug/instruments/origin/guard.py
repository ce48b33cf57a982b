"""Tests every step for the first value that is no number, and has the step replayed before its update destroys it."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convdebug.instruments import backward, losses
from convdebug.instruments.instrument import Moment, Scene
from convdebug.instruments.kept import Unrepeatable
from convdebug.instruments.probe import probing

from .held import MOST_CALLS, Call, Door
from .loss_graph import LossPart, found_in_graph
from .replay import Found, bad_parameters, replay_backward, replay_forward, weights_of
from .statistics import MOST_ROWS, described, finite

MOST_EVENTS = 3
SMALL = 4096
"""Gradients with no more values than this are tested at every step; all of them where their norms were taken anyway."""
FEW = 64
MOST_TESTED = 8
SECONDS_A_TEST = 2e-2
"""One test for each so many seconds of a step, but always one."""


class Origin:
    """Watches over one model. Keeps references only; what it runs again, it runs on copies.

    On the CPU the loss is read as `backward` begins and two small gradients as it ends, both before the update. On
    other devices the host does not wait: flags are copied behind the kernels and judged in time if they have arrived
    before the update, or else late, when the weights that made the value are gone.
    """

    def __init__(
        self,
        scene: Scene,
        examples: Callable[[], Sequence[int] | None] = lambda: None,
    ) -> None:
        self.scene = scene
        self.step = 0
        self._examples = examples
        self.door = Door(scene.inner, self._entered, self._failed, scene.device)
        """Whoever listens at the model tells it of each pass."""
        self._on_host = scene.device.type == "cpu"
        self._calls: list[Call] = []
        self._loss = LossPart()
        self._tested: list[nn.Parameter] = []
        self._suspect: str | None = None
        self._came_back = False
        self._updating = False
        self._scaled = False
        self._lost = False
        self._unrepeatable = ""
        self._tests = 1
        self._began_at = scene.clock()
        self._told = 0
        self._told_at = -1
        self._running = False

    # when it listens

    def start(self) -> None:
        self._running = True
        backward.listen_to_backward(self._hear_backward)
        losses.listen_to_calls(self._loss.heard)

    def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self.door.close()
        backward.stop_listening_to_backward(self._hear_backward)
        losses.stop_listening_to_calls(self._loss.heard)
        self._forget()

    def begin(self, step: int) -> None:
        """The next step begins: nothing of the last one is held any longer."""
        self.step = step
        now = self.scene.clock()
        self._tests = max(1, int((now - self._began_at) / SECONDS_A_TEST))
        self._began_at = now
        self._forget()

    def _forget(self) -> None:
        self._calls.clear()
        self._loss.clear()
        self._suspect, self._came_back = None, False

    # what it hears

    def _entered(self, call: Call) -> None:
        if self._came_back and self._suspect is None:
            self._calls.clear()
            self._came_back = False
        most = MOST_CALLS if self.scene.model.training else 1  # an evaluation with recorded gradients keeps no graphs
        del self._calls[: max(0, len(self._calls) + 1 - most)]
        self._calls.append(call)

    def _hear_backward(self, begins: bool) -> None:
        """What these call themselves nobody listens to: what is run again is run while probing."""
        if not self._running or self._told >= MOST_EVENTS:
            return
        try:
            if begins:
                self._before_backward()
            else:
                self._after_backward()
        except Exception as problem:  # whatever happens in here, the user's training goes on
            self._failed(problem)

    def before_update(self, optimizer: Optimizer, moment: Moment) -> None:
        """The optimizer is about to step: the last moment at which the weights are those of the forward pass."""
        self._updating = True
        if not self._on_host:
            self._guarded(self.scene.readback.collect)  # what has arrived by now is judged in time
        judges = self._suspect is not None or moment.gradient_norms is not None
        if judges and getattr(optimizer, "found_inf", None) is None:  # a fused one skips what a scaler tells it to
            self._guarded(lambda: self._judge_gradients(moment))
        self._suspect = None

    def after_update(self) -> None:
        self._updating = False

    def attempted(self) -> None:
        """A gradient scaler is asked to step: its infinities are on purpose, and it then skips the update itself."""
        self._scaled = True

    def _guarded(self, act: Callable[[], None]) -> None:
        if not self._running or self._told >= MOST_EVENTS:
            return
        try:
            with probing():
                act()
        except Exception as problem:  # whatever happens in here, the user's training goes on
            self._failed(problem)

    def _failed(self, problem: Exception) -> None:
        self._told = MOST_EVENTS
        self._suspect = None
        self._calls.clear()
        message = f"{type(problem).__name__}: {problem}"
        self.scene.run.event("instrument-failed", self.step, instrument="origin", message=message)

    # the loss

    def _before_backward(self) -> None:
        root = backward.scalar_root()
        if root is None:
            return
        if not self._reads_at_once(root):
            self._flag(root)
            return
        value = backward.number_of(root)
        if math.isfinite(value):
            self._lost = False
            self._loss.look(root, self._calls)
        elif not self._lost and not (self._scaled and math.isinf(value) and self._loss.is_finite):
            self._lost = True
            with probing():
                self._find_forward(root)

    @staticmethod
    def _reads_at_once(root: Tensor) -> bool:
        """Whether the host can look at the loss without waiting for a device."""
        return root.is_cpu

    def _find_forward(self, root: Tensor) -> None:
        """The loss is no number, and nothing was updated since: its weights are still there."""
        names = bad_parameters(self.scene.inner)
        if names:
            if self._told == 0:
                self._tell(self._bad_weights(names))
            return
        for each in self._calls:
            found = self._replayed(replay_forward, each) if each.left else None
            if found is not None:
                self._tell(found, each)
                return
        outputs_finite = all(finite(output.detach()) for call in self._calls for output in call.outputs)
        call = self._calls[-1] if self._calls else None
        if self._unrepeatable and not outputs_finite:
            self._tell(Found("unknown", note=self._unrepeatable), call)
        else:
            self._tell(found_in_graph(root, self._loss, self._calls, outputs_finite), call)

    def _replayed(self, replay: Callable[..., Found | None], call: Call, *about: Any) -> Found | None:
        """What a replay says; None, and why, where the model must not be run once more."""
        try:
            return replay(self._inner, call, self.scene.device, *about)
        except Unrepeatable as reason:
            self._unrepeatable = f"the model could not be run once more: {reason}"
            return None

    def _bad_weights(self, names: list[str]) -> Found:
        """Weights are no numbers before the forward pass: an update made them so."""
        found = Found("weights", note=f"{len(names)} parameters were non-finite before this step's forward pass")
        model = dict(self.scene.inner.named_parameters())
        found.parameters = [described(model[name].detach(), name) for name in names[:8]]
        state = _optimizer_state(self.scene.optimizers, model[names[0]])
        if state and all(finite(each) for each in state.values()):
            found.direction = "update"
            found.inputs = [described(each, name) for name, each in state.items()]
            found.operator = type(self.scene.optimizers[0]).__name__
        found.module = names[0].rpartition(".")[0]
        return found

    # the gradients

    def _after_backward(self) -> None:
        self._came_back = True
        if self._lost or self._told_at == self.step or self._suspect is not None or not self._on_host:
            return
        if not self._tested:
            self._tested = self._worth_testing()
        for parameter in self._tested[: self._tests]:
            gradient = parameter.grad
            if gradient is not None and _sum_is_bad(gradient):
                self._suspect = self._name_of(parameter)
                break
        if self._suspect is not None and (self._updating or self._steps_without_optimizer):
            with probing():
                self._find_backward(self._suspect)
            self._suspect = None

    @property
    def _steps_without_optimizer(self) -> bool:
        return not self.scene.optimizers and self.step > 0

    def _worth_testing(self) -> list[nn.Parameter]:
        """Small parameters over the whole depth; the first, which bad gradients reach from behind it, comes first."""
        present = [
            (name.rpartition(".")[0], each)
            for name, each in self.scene.parameters
            if each.grad is not None and each.grad.layout == torch.strided
        ]
        if not present:
            return []
        small = [each for _, each in present if each.numel() <= SMALL]
        small = small[:: max(1, len(small) // MOST_TESTED)][:MOST_TESTED]
        first = min((each for module, each in present if module == present[0][0]), key=Tensor.numel)
        return [first, *(each for each in small if each is not first)] if first.numel() <= SMALL or not small else small

    def _judge_gradients(self, moment: Moment) -> None:
        name = self._suspect
        norms = moment.gradient_norms
        if name is None and norms is not None and self._on_host and self._told_at != self.step:
            bad = torch.nonzero(~torch.isfinite(norms[1])).reshape(-1).tolist() if _sum_is_bad(norms[1]) else []
            parameters = dict(self.scene.parameters)
            bad = [norms[0][place] for place in bad]
            name = next((each for each in bad if _holds_bad_gradient(parameters.get(each))), None)
        if name is not None:
            self._find_backward(name)

    def _find_backward(self, seen: str) -> None:
        """A gradient is no number though the loss was: replay on weights that are still good."""
        names = bad_parameters(self.scene.inner)
        if names:
            return
        self._lost = True
        found: Found | None = None
        call = self._calls[-1] if self._calls else None
        for each in self._calls:
            found = self._replayed(replay_backward, each, self._loss.again)
            if found is not None:
                call = each
                break
        if found is None and self._unrepeatable:
            found = Found("unknown", note=self._unrepeatable)
        elif found is None:
            found = Found("backward", part="outside", note=_not_reproduced(self._calls))
        if found.part != "model":
            self._loss.explain(found)
        self._tell(found, call, seen=f"gradient of {seen}")

    @property
    def _inner(self) -> nn.Module:
        return self.scene.inner

    def _name_of(self, parameter: nn.Parameter) -> str:
        return next((name for name, each in self.scene.parameters if each is parameter), "a parameter")

    # devices that run behind the host

    def _flag(self, root: Tensor) -> None:
        """Have the loss copied to the host behind the kernels; judge it when it arrives."""
        step = self.step
        self._loss.look(root, self._calls)

        def arrived(values: Any) -> None:
            if math.isfinite(float(values[0])):
                self._lost = False
            elif not self._lost:
                self._lost = True
                self._guarded(lambda: self._judge_late(step))

        self.scene.readback.put(root.reshape(1), arrived)

    def _judge_late(self, step: int) -> None:
        """The host learns it now: in time if the weights are still those of that step."""
        if step == self.step and not bad_parameters(self.scene.inner):
            for call in self._calls:
                found = self._replayed(replay_forward, call) if call.left else None
                if found is not None:
                    self._tell(found, call)
                    return
        note = f"first seen at step {step}, after the update: the producer is unknown"
        self._tell(Found("unknown", note=note), step=step)

    # what it tells

    def _tell(self, found: Found, call: Call | None = None, seen: str = "loss", step: int | None = None) -> None:
        self._told += 1
        self._told_at = self.step
        rows = found.rows or []
        examples = self._examples() if rows else None
        facts: dict[str, Any] = {
            "direction": found.direction,
            "part": found.part,
            "seen": seen,
            "module": found.module,
            "type": found.kind,
            "operator": found.operator,
            "code": found.code,
            "inputs": found.inputs,
            "output": found.output,
            "parameters": found.parameters,
            "weights": weights_of(self.scene.inner),
            "rows": rows[:MOST_ROWS],
            "row_count": len(rows),
            "batch": None if call is None else call.batch,
            "examples": [int(examples[row]) for row in rows[:MOST_ROWS] if row < len(examples)] if examples else [],
            "inputs_changed": call.changed if call is not None else False,
            "compiled": self.scene.compiled,
            "note": found.note,
        }
        self.scene.run.event("non-finite", self.step if step is None else step, **facts)


def _sum_is_bad(values: Tensor) -> bool:
    """Whether a tensor holds NaN or infinity; its sum says so, and a sum that overflows is looked into."""
    if values.layout != torch.strided:
        return False
    if values.dim() == 1 and values.numel() <= FEW:  # two of torch's operators cost more
        return not cmath.isfinite(sum(values.tolist())) and not finite(values)
    return not cmath.isfinite(values.sum().item()) and not finite(values)


def _holds_bad_gradient(parameter: nn.Parameter | None) -> bool:
    """A norm may overflow where every value is finite."""
    return parameter is not None and parameter.grad is not None and not finite(parameter.grad)


def _optimizer_state(optimizers: Sequence[Optimizer], parameter: nn.Parameter) -> dict[str, Tensor]:
    """The averages an optimizer keeps for a parameter."""
    for optimizer in optimizers:
        state = optimizer.state.get(parameter)
        if state:
            return {
                name: each
                for name, each in state.items()
                if isinstance(each, Tensor) and each.shape == parameter.shape and each.is_floating_point()
            }
    return {}


def _not_reproduced(calls: Sequence[Call]) -> str:
    if not calls:
        return "the model's own forward was not called, so that the step could not be replayed"
    return (
        "replayed, the model's gradients were finite: the bad one was made outside its forward pass (a penalty on the "
        "weights, a hook, another model, the loop itself), or the model does not do the same twice"
    )
