"""Hears what a training loop does, whoever wrote it: backward passes, optimizer steps."""

from __future__ import annotations

import weakref
from typing import Any

from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from .backward import listen_to_backward, stop_listening_to_backward
from .home import is_elsewhere
from .instrument import Instrument, Moment, Scene

_hearers: list[weakref.ref[Hearer]] = []
_hearers_of: dict[str, tuple[weakref.ref[Hearer], ...]] = {}
"""Of each moment those to whom it means anything."""
_handles: list[RemovableHandle] = []


class Hearer(Instrument):
    """An instrument that hears the loop from its first `arm` to its `finish`, also on steps at which it is not due.

    What goes wrong inside a call is kept and raised at the next `arm`, where the rack drops the instrument: nothing
    that is heard can break the user's training.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.trouble: Exception | None = None
        self.listening = True
        self._hears = False

    def arm(self, moment: Moment) -> None:
        if self.trouble is not None:
            _forget(self)
            raise self.trouble
        if not self._hears:
            self._hears = True
            _listen(self)

    def listen(self, listening: bool) -> None:
        """For as long as there is nothing to be heard it is not told: each call costs, at every step."""
        if listening != self.listening:
            self.listening = listening
            _sort_out()

    def fall_silent(self) -> None:
        self._hears = False
        _stop_listening(self)

    def finish(self) -> None:
        self.fall_silent()

    def holds(self, optimizer: Optimizer) -> bool:
        """Whether the optimizer is one of those that train the watched model."""
        return optimizer in self.scene.optimizers

    def backward_begins(self) -> None: ...

    def backward_ended(self) -> None: ...

    def step_begins(self, optimizer: Optimizer) -> None: ...

    def step_ended(self, optimizer: Optimizer) -> None: ...


MOMENTS = ("backward_begins", "backward_ended", "step_begins", "step_ended")


def _listen(hearer: Hearer) -> None:
    if not _handles:
        _handles.append(register_optimizer_step_pre_hook(_hear_step_begin))
        _handles.append(register_optimizer_step_post_hook(_hear_step_end))
        listen_to_backward(_hear_backward)
    _hearers.append(weakref.ref(hearer))
    _sort_out()


def _forget(hearer: Hearer) -> None:
    """Leaves the hooks where they are: this may happen while torch walks through them."""
    _hearers[:] = [reference for reference in _hearers if reference() not in (None, hearer)]
    _sort_out()


def _sort_out() -> None:
    awake = [each for each in _hearers if (hearer := each()) is not None and hearer.listening]
    for what in MOMENTS:
        nothing = getattr(Hearer, what)
        _hearers_of[what] = tuple(each for each in awake if getattr(type(each()), what, nothing) is not nothing)


def _stop_listening(hearer: Hearer) -> None:
    _forget(hearer)
    if not _hearers and _handles:
        for handle in _handles:
            handle.remove()
        _handles.clear()
        stop_listening_to_backward(_hear_backward)


def _hear_backward(begins: bool) -> None:
    """Called in the thread that is heard only."""
    what = "backward_begins" if begins else "backward_ended"
    if _hearers_of[what]:
        _tell(what)


def _hear_step_begin(optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
    if _hearers_of["step_begins"] and not is_elsewhere():
        _tell("step_begins", optimizer)


def _hear_step_end(optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
    if _hearers_of["step_ended"] and not is_elsewhere():
        _tell("step_ended", optimizer)


def _tell(what: str, *about: Any) -> None:
    for reference in _hearers_of[what]:
        hearer = reference()
        if hearer is None or hearer.trouble is not None:
            continue
        try:
            getattr(hearer, what)(*about)
        except Exception as problem:  # raised again where the rack can drop the instrument
            hearer.trouble = problem
