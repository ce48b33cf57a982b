"""Functional dropout that is not told of the mode: it drops while the model is evaluated too."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .instrument import Instrument, Moment, Scene
from .recalibration import is_recalibrating
from .taken import Taken, put_back, replace_taken

PASSES = 3
"""So many passes of evaluations are looked at."""
DROPPING = {"dropout": True, "dropout1d": True, "dropout2d": True, "dropout3d": True, "alpha_dropout": False}
"""Functions of torch that drop, and whether they do so unless told otherwise."""

Told = Callable[[float, Any], None]
"""Called with the share that is dropped and the frame of the caller."""


class DroppingCalls:
    """Between `start` and `stop` tells of calls outside torch that drop, whatever the mode of the module around them.

    Torch's own modules and functions go by their mode, and a module in training mode was left in it on purpose.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._own: dict[str, Any] = {}
        self._taken: list[Taken] = []

    @property
    def listening(self) -> bool:
        return bool(self._own)

    def start(self) -> None:
        """Put the telling versions in place of torch's own."""
        if not self.listening:
            self._own = {name: getattr(F, name) for name in DROPPING}
            wrapped = {name: self._telling(own, DROPPING[name]) for name, own in self._own.items()}
            self._taken = replace_taken([(self._own[name], wrapped[name]) for name in DROPPING])
            for name, each in wrapped.items():
                setattr(F, name, each)

    def stop(self) -> None:
        """Put torch's own back."""
        for name, own in self._own.items():
            setattr(F, name, own)
        self._own = {}
        put_back(self._taken)

    def _telling(self, original: Any, by_default: bool) -> Any:
        @functools.wraps(original)
        def drop(input: Any, p: Any = 0.5, training: Any = by_default, *more: Any, **named: Any) -> Any:
            frame = sys._getframe(1)
            around = frame.f_locals.get("self")
            meant = isinstance(around, nn.Module) and around.training
            of_torch = str(frame.f_globals.get("__name__")).partition(".")[0] == "torch"
            evaluating = not torch.is_grad_enabled()  # a pass that raised is over, and nobody said so
            if training and p > 0 and evaluating and not of_torch and not meant:
                self._told(float(p), frame)
            return original(input, p, training, *more, **named)

        return drop


class Dropping(Instrument):
    """The event `dropping-while-evaluating` {share, places}: what dropped in the first passes of evaluations.

    An evaluation is a pass without recorded gradients of a model in evaluation mode; `places` are file and line.
    """

    name: ClassVar[str] = "dropping"
    weight: ClassVar[float] = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._calls = DroppingCalls(self._hear)
        self._passes = 0
        self._places: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def arm(self, moment: Moment) -> None:
        if self._passes < PASSES and not self.scene.compiled:
            self.scene.evaluating = self._evaluating

    def _evaluating(self, begins: bool) -> None:
        self._calls.stop()
        if begins and self._passes < PASSES and not self.scene.model.training and not is_recalibrating():
            self._passes += 1
            self._calls.start()

    def _hear(self, share: float, frame: Any) -> None:
        self._places.setdefault(f"{frame.f_code.co_filename}:{frame.f_lineno}", share)

    def record(self, moment: Moment) -> None:
        self._tell(moment.step)
        if self._passes >= PASSES:
            self._remove()

    def _tell(self, step: int | None) -> None:
        if self._places != self._told:
            self._told = dict(self._places)
            self.scene.run.event("dropping-while-evaluating", step, places=self._told)

    def _remove(self) -> None:
        self._calls.stop()
        self.scene.evaluating = None

    def fall_silent(self) -> None:
        self._remove()

    def finish(self) -> None:
        self._tell(None)
        self._remove()
