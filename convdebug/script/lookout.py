"""Watches a script that is not ours: one watch for each model that it trains, a step at each step of its optimizers."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from convdebug.instruments.anatomy import unwrapped
from convdebug.instruments.backward import listen_to_tensors, stop_listening_to_tensors
from convdebug.watch import TrainingStopped, Watch, watch
from convdebug_sessions import RunRecorder

from .doors import Doors
from .finding import Family, family_of, parameters_of

StartRun = Callable[[str, dict[str, Any]], RunRecorder]


class ScriptStopped(BaseException):
    """Ends a script from within an optimizer's step; no `except Exception` of the script swallows it."""


@dataclass(frozen=True)
class Limits:
    """How long the script may train, and how it is watched."""

    steps: int | None = None
    checkpoints: int = 0
    overhead_budget: float = 0.02
    every: int | None = None


@dataclass
class Round:
    """Which optimizers of one model have stepped since the last step was counted."""

    done: set[int] = field(default_factory=set)
    active: set[int] | None = None

    def complete(self, known: set[int]) -> bool:
        return (known if self.active is None else self.active) <= self.done

    def close(self) -> None:
        self.active, self.done = self.done, set()


class Lookout:
    """Hears optimizers being made and stepped; `start_run` opens a run in the session when a model is first trained."""

    def __init__(self, start_run: StartRun, limits: Limits) -> None:
        self.watches: list[Watch] = []
        self.runs: list[int] = []
        self._start_run, self._limits = start_run, limits
        self._doors = Doors(self._entered)
        self._families: list[tuple[weakref.ref[Optimizer], Family]] = []
        self._rounds: dict[int, Round] = {}
        self._stepping: list[Optimizer] = []
        self._hooks: list[RemovableHandle] = []
        self._init: Any = None
        self._names: dict[str, int] = {}
        self.backwards = 0
        self._process = os.getpid()
        self._blind = False

    # coming and going

    def start(self) -> None:
        """From now on hear what the script does."""
        self._hooks = [
            register_optimizer_step_pre_hook(lambda optimizer, _a, _k: self._step_begins(optimizer)),
            register_optimizer_step_post_hook(lambda optimizer, _a, _k: self._step_ended(optimizer)),
        ]
        listen_to_tensors(self._hear_backward)
        self._init = Optimizer.__init__
        Optimizer.__init__ = _telling(Optimizer.__init__, self._made)  # type: ignore[method-assign]

    def stop(self, status: str, reason: str | None, error: BaseException | None = None) -> None:
        """The script is over: end every run."""
        Optimizer.__init__ = self._init  # type: ignore[method-assign]
        stop_listening_to_tensors(self._hear_backward)
        for hook in self._hooks:
            hook.remove()
        self._doors.close()
        for each in self.watches:
            self._close_round(each)
            if error is not None:
                each.crash(error)
            else:
                each.finish(status, reason)

    # finding what is trained

    def _made(self, optimizer: Optimizer) -> None:
        family = family_of(parameters_of(optimizer))
        self._families.append((weakref.ref(optimizer), family))
        for module in family.candidates():
            if not self._watched(module):
                self._doors.add(module)

    def _watched(self, module: nn.Module) -> bool:
        return any(module is each._scene.model for each in self.watches)

    def _entered(self, module: nn.Module) -> None:
        """The script calls a candidate with recorded gradients: this is what it trains."""
        self._doors.remove(module)
        self._watch(module)

    def _watch(self, module: nn.Module) -> None:
        name = self._name(type(unwrapped(module)).__name__)
        optimizers = [
            optimizer
            for reference, family in self._families
            if (optimizer := reference()) is not None and _holds_any(optimizer, module)
        ]
        run = self._start_run(name, {"source": "run"})
        watched = watch(
            module,
            optimizers,
            session=run,
            overhead_budget=self._limits.overhead_budget,
            every=self._limits.every,
            checkpoints=self._limits.checkpoints,
            stepped=self._stepped,
        )
        self._rounds[id(watched)] = Round()
        self.watches.append(watched)
        self.runs.append(run.id)
        watched.start()

    def _name(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name} {count}"

    def _hear_backward(self, begins: bool, _tensors: Any, _gradients: Any) -> None:
        if begins:
            self.backwards += 1
            return

    # steps

    def _step_begins(self, optimizer: Optimizer) -> None:
        if optimizer in self._stepping:  # its last step raised and never ended
            del self._stepping[self._stepping.index(optimizer) :]
        self._stepping.append(optimizer)
        if len(self._stepping) == 1:
            for each in self.watches:
                if id(optimizer) in self._rounds[id(each)].done:
                    self._close_round(each)

    def _step_ended(self, optimizer: Optimizer) -> None:
        if optimizer in self._stepping:
            del self._stepping[self._stepping.index(optimizer) :]

    def _stepped(self, watched: Watch, optimizer: Optimizer) -> None:
        """An optimizer of a watched model has stepped; one inside another's step is a part of it."""
        if self._stepping:
            return
        now = self._rounds[id(watched)]
        now.done.add(id(optimizer))
        if now.complete({id(each) for each in watched.optimizers}):
            self._close_round(watched)

    def _close_round(self, watched: Watch) -> None:
        now = self._rounds[id(watched)]
        if not now.done:
            return
        now.close()
        try:
            watched.step()
        except TrainingStopped as stop:
            raise ScriptStopped(str(stop)) from None
        limit = self._limits.steps
        if limit is not None and all(each.number >= limit or each.number == 0 for each in self.watches):
            raise ScriptStopped(f"stopped after {limit} steps (--steps)")


def _holds_any(optimizer: Optimizer, module: nn.Module) -> bool:
    own = {id(parameter) for parameter in module.parameters()}
    return any(id(parameter) in own for parameter in parameters_of(optimizer))


def _telling(original: Any, made: Callable[[Optimizer], None]) -> Any:
    @functools.wraps(original)
    def __init__(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        made(self)

    return __init__
