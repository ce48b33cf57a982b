"""In which mode dropout and batch norm are when the model is trained, and when it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .anatomy import first_tensor
from .hearing import Hearer
from .hook import Hook
from .instrument import Moment, Scene
from .losses import listen_unrecorded, stop_listening_unrecorded
from .probe import is_probing
from .recalibration import is_recalibrating
from .stepping import held_parameters
from .table import Table

EVALUATION = (
    "evaluation/passes",
    "evaluation/losses",
    "evaluation/phases",
    "evaluation/training",
    "evaluation/batches",
)
LOOK_EVERY = 64
"""The modules are looked for anew every so many steps."""


@dataclass(frozen=True)
class Modal:
    """A module that behaves differently in training; `trained`: an optimizer moves weights around it."""

    name: str
    module: nn.Module
    trained: bool


def is_modal(module: nn.Module) -> bool:
    """Dropout that drops anything, inside recurrent and attention layers too, and norms with running statistics."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return bool(module.track_running_stats)
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0 and module.num_layers > 1
    return isinstance(module, nn.MultiheadAttention) and module.dropout > 0


def modal_modules(model: nn.Module, held: set[int] | None) -> list[Modal]:
    """All of them in the model; `held` are the parameters that optimizers hold, None where nobody knows.

    A norm or a layer with weights is trained if any of its own is; one without weights if its nearest parent with
    weights has one that is. What is frozen around a module makes its evaluation mode meant.
    """
    modules = dict(model.named_modules())
    return [
        Modal(name or type(module).__name__, module, _is_trained(name, modules, held))
        for name, module in modules.items()
        if is_modal(module)
    ]


def _is_trained(name: str, modules: dict[str, nn.Module], held: set[int] | None) -> bool:
    while True:
        own = list(modules[name].parameters())
        if own or not name:
            return any(p.requires_grad and (held is None or id(p) in held) for p in own)
        name = name.rpartition(".")[0]


class Modes(Hearer):
    """What is in the wrong mode, while training and while evaluating.

    `modes/evaluating` counts the modules in evaluation mode at a step (those that are trained), `modes/modal` all that
    have a mode; the event `modes-in-training` {evaluating, resting, root} names them when they change (`resting` are
    those that are frozen or not in an optimizer). For passes without gradients between two steps,
    `evaluation/{passes,losses,phases,training,batches}`: how many passes, losses computed, stretches of passes, modules
    that were in training mode though the model's own flag says that it was not put into evaluation mode, and how many
    training batches all their examples would make.
    """

    name: ClassVar[str] = "modes"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table, self.evaluation_table = Table(scene.run), Table(scene.run)
        self.hearable = (
            getattr(scene.model, "_compiled_call_impl", None) is None or type(scene.model).__name__ == "OptimizedModule"
        )
        self._hook: RemovableHandle | None = None
        self._due = False
        self._modal: list[Modal] = []
        self._look_again = 0
        self._now: list[bool] | None = None
        self._root = False
        self._told: dict[str, Any] = {}
        self._in_phase = False
        self._phase = [0, 0, 0, 0]
        self._examples = self._batch = 0
        self._last_row = -1
        self._last_step = 0
        self._names: tuple[str, ...] = ()

    def arm(self, moment: Moment) -> None:
        super().arm(moment)
        self.listen(self._in_phase)
        self._due, self._now, self._root = True, None, False
        if moment.step >= self._look_again:
            self._look_again = moment.step + LOOK_EVERY
            held = held_parameters(self.scene.optimizers) if self.scene.optimizers else None
            self._modal = modal_modules(self.scene.inner, held)
        if self._hook is None and self.hearable and self._modal:
            self._hook = self.scene.model.register_forward_pre_hook(Hook(self._enter))
            listen_unrecorded(self._hear_loss)

    def __deepcopy__(self, _memo: Any) -> Modes:
        return self  # a copy of the model (an average of its weights) brings its hooks along

    def disarm(self) -> None:
        self._due = False

    def fall_silent(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
            stop_listening_unrecorded(self._hear_loss)
        super().fall_silent()

    def finish(self) -> None:
        self._write_evaluation(self._last_step + 1)
        super().finish()

    # what is heard

    def _enter(self, _model: nn.Module, inputs: Any) -> None:
        try:
            if torch.is_grad_enabled():
                if self._due:
                    self._read_modes()
                    self._batch = _examples(inputs) or self._batch
            elif not is_probing() and not (self.scene.inner.training and is_recalibrating()):
                self._evaluates()
                self._examples += _examples(inputs)
        except Exception as problem:  # raised again where the rack can drop the instrument
            self.trouble = problem

    def _read_modes(self) -> None:
        modes = [each.module.training for each in self._modal]
        before = self._now
        self._root = self._root or self.scene.inner.training
        self._now = modes if before is None else [a or b for a, b in zip(before, modes, strict=True)]

    def _evaluates(self) -> None:
        if not self._in_phase:
            self._in_phase = True
            self.listen(True)
            self._phase[2] += 1
        self._phase[0] += 1
        if self.scene.inner.training:
            wrong = [each.name for each in self._modal if each.module.training]
            if len(wrong) > self._phase[3]:
                self._phase[3], self._names = len(wrong), tuple(wrong)

    def _hear_loss(self, _name: str, _scores: Any, _labels: Any, _value: Tensor, _reduction: str) -> None:
        if self._in_phase:
            self._phase[1] += 1

    def backward_begins(self) -> None:
        self._in_phase = False
        self.listen(False)

    # what is written

    def before_update(self, moment: Moment) -> None:
        if self._now is None and not self.hearable:
            self._read_modes()

    def record(self, moment: Moment) -> None:
        self._last_step = moment.step
        if self._now is not None and len(self._now) == len(self._modal) and self._modal:
            self._write_modes(moment.step, self._now)
        self._write_evaluation(moment.step)

    def _write_modes(self, step: int, modes: list[bool]) -> None:
        asleep = [each for each, training in zip(self._modal, modes, strict=True) if not training]
        evaluating = [each.name for each in asleep if each.trained]
        told = {
            "evaluating": evaluating,
            "resting": [each.name for each in asleep if not each.trained],
            "root": self._root,
        }
        if told != self._told:
            self._told = told
            self.scene.run.event("modes-in-training", step, **told)
        self.table.append(step, ("modes/evaluating", "modes/modal"), (len(evaluating), len(self._modal)))

    def _write_evaluation(self, step: int) -> None:
        if self._phase[0] and step > self._last_row:
            self._last_row = step
            if self._phase[3] and self._names:
                self.scene.run.event("training-while-evaluating", step, modules=list(self._names))
                self._names = ()
            batches = self._examples / self._batch if self._batch else 0.0
            self.evaluation_table.append(step, EVALUATION, (*(float(count) for count in self._phase), batches))
            self._phase, self._examples = [0, 0, 0, 0], 0


def _examples(inputs: Any) -> int:
    """How many the model is given, 0 where that cannot be told."""
    tensor = first_tensor(inputs)
    return int(tensor.shape[0]) if tensor is not None and not tensor.is_nested and tensor.dim() else 0
