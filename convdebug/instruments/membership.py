"""Who trains what: which parameters an optimizer holds, and which modules are in training mode."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from .instrument import Instrument, Moment, Scene
from .opening import tell_anatomy
from .stepping import held_parameters

MODAL = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)


class Membership(Instrument):
    """Events, each only when it changed: `membership` {missing, thawed, frozen, resting, foreign} and `modes`.

    `missing` are trainable parameters that no optimizer holds, `thawed` those of them that did not require gradients
    before, `frozen` those that one holds though they do not require gradients, `resting` those whose group has a
    learning rate of 0, `foreign` counts held tensors that are not the model's. `modes` is {module: training} for
    dropout and batch norm.
    """

    name: ClassVar[str] = "membership"
    weight: ClassVar[float] = 0.1
    rarity: ClassVar[int] = 8

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._members: dict[str, object] = {}
        self._were_frozen: set[str] = set()
        self._modes: dict[str, bool] = {}

    def before_update(self, moment: Moment) -> None:
        modes = {
            name or type(module).__name__: module.training
            for name, module in self.scene.inner.named_modules()
            if isinstance(module, MODAL)
        }
        if modes and modes != self._modes:
            self._modes = modes
            self.scene.run.event("modes", moment.step, **modes)

    def record(self, moment: Moment) -> None:
        if not self.scene.optimizers:
            return
        held = held_parameters(self.scene.optimizers)
        own = {id(parameter) for _, parameter in self.scene.parameters}
        missing = [name for name, p in self.scene.parameters if p.requires_grad and id(p) not in held]
        self._were_frozen.update(name for name, p in self.scene.parameters if not p.requires_grad)
        members: dict[str, object] = {
            "missing": missing,
            "thawed": [name for name in missing if name in self._were_frozen],
            "frozen": [name for name, p in self.scene.parameters if not p.requires_grad and id(p) in held],
            "resting": self._resting(),
            "foreign": len(held - own),
        }
        if members != self._members:
            self._members = members
            self.scene.run.event("membership", moment.step, **members)
            tell_anatomy(self.scene)

    def _resting(self) -> list[str]:
        groups = [group for optimizer in self.scene.optimizers for group in optimizer.param_groups]
        still = {id(p) for group in groups if not isinstance(group.get("lr"), Tensor) and group.get("lr") == 0
                 for p in group["params"]}  # fmt: skip
        return [name for name, p in self.scene.parameters if id(p) in still] if still else []
