"""Which parameters want a gradient and have never been given one."""

from __future__ import annotations

from typing import ClassVar

from torch import nn
from torch.optim import Optimizer

from .hearing import Hearer
from .instrument import Moment, Scene


class Received(Hearer):
    """The event `no-gradient` {never: {parameter: backward passes it waited through}}, when the list has changed.

    Looked at after every backward pass and before every optimizer step, but only at those still waiting: once all
    have had a gradient this costs next to nothing. A parameter that does not require gradients does not wait. A step
    without a backward pass (gradients by `torch.autograd.grad`) counts as one.
    """

    name: ClassVar[str] = "received"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._had: set[int] = set()
        self._waiting: dict[str, nn.Parameter] = {}
        self._waited: dict[str, int] = {}
        self._told: list[str] | None = None
        self._look_again = 0
        self._heard_backward = False

    def arm(self, moment: Moment) -> None:
        super().arm(moment)
        if moment.step >= self._look_again:
            self._look_again = moment.step + (64 if moment.step else 1)
            fresh = [(name, p) for name, p in self.scene.parameters if p.requires_grad and id(p) not in self._had]
            self._waiting = dict(fresh)
            self.listen(bool(self._waiting))

    def backward_ended(self) -> None:
        if self._waiting:
            self._heard_backward = True
            self._wait()

    def step_begins(self, optimizer: Optimizer) -> None:
        if self._waiting:
            self._strike_out()
            if not self._heard_backward and self.holds(optimizer):
                self._wait()
            self._heard_backward = False

    def _wait(self) -> None:
        self._strike_out()
        for name in self._waiting:
            self._waited[name] = self._waited.get(name, 0) + 1

    def _strike_out(self) -> None:
        for name, parameter in list(self._waiting.items()):
            if parameter.grad is not None or not parameter.requires_grad:
                del self._waiting[name]
                self._waited.pop(name, None)
                if parameter.grad is not None:
                    self._had.add(id(parameter))
        self.listen(bool(self._waiting))

    def record(self, moment: Moment) -> None:
        never = [name for name in self._waiting if name in self._waited]
        if never != self._told and (never or self._told):
            self._tell(moment.step, never)

    def finish(self) -> None:
        never = [name for name in self._waiting if name in self._waited]
        if self._hears and never:
            self._tell(None, never)
        super().finish()

    def _tell(self, step: int | None, never: list[str]) -> None:
        self._told = never
        self.scene.run.event("no-gradient", step, never={name: self._waited[name] for name in never})
