"""The models that a script trains: a watch and a run for each, from when it is found to when it is let go or lost."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.optim.optimizer import Optimizer

from convdebug.instruments.anatomy import unwrapped
from convdebug.watched import Watch
from convdebug_sessions import RunRecorder

from .finding import parameters_of
from .limits import Limits
from .living import LivingOptimizers
from .loose import LooseTensors
from .lost import LostWatches
from .rounds import Round

StartRun = Callable[[str, dict[str, Any]], RunRecorder]


class WatchedModels:
    """Opens their watches and closes them; what goes wrong with one model ends the watching of that one.

    `stepped` is told when an optimizer of a watched model has stepped.
    """

    def __init__(
        self,
        start_run: StartRun,
        limits: Limits,
        say: Callable[[str], None],
        stepped: Callable[[Watch, Optimizer], None],
    ) -> None:
        self.watches: list[Watch] = []
        self.runs: list[int] = []
        self.rounds: dict[int, Round] = {}
        self.optimizers = LivingOptimizers()
        self.lost = LostWatches()
        self._start_run, self._limits, self._say, self._stepped = start_run, limits, say, stepped
        self._unwatchable: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._names: dict[str, int] = {}

    def begin(
        self,
        module: nn.Module,
        note: str | None = None,
        hooks: bool = True,
        inside: Optimizer | None = None,
        stepping: Sequence[Optimizer] = (),
    ) -> list[Watch]:
        """Begin to watch a model; an empty list, and a word, where that fails.

        `inside` is the step under way; `stepping` are optimizers that step for it though they hold none of its
        parameters.
        """
        self._end_idle()
        if module in self._unwatchable:
            return []
        kind = kind_of(module)
        run = self._start_run(self._name(kind), {"source": "run"})
        self.runs.append(run.id)
        try:
            watched = self._opened(module, run, hooks, stepping)
        except Exception as problem:
            self._unwatchable.add(module)
            message = f"{type(problem).__name__}: {problem}"
            self._say(f"{kind} goes unwatched: {message}")
            run.event("instrument-failed", 0, instrument="lookout", message=message)
            run.finish("stopped", f"could not be watched: {message}")
            return []
        self.watches.append(watched)
        if inside is not None and inside in watched.optimizers:
            watched.join_step()
        if note is not None:
            watched.event("note", text=note)
            self._say(note)
        return [watched]

    def _opened(self, module: nn.Module, run: RunRecorder, hooks: bool, stepping: Sequence[Optimizer]) -> Watch:
        from convdebug.watch import watch  # not before: a script may load torch by importing just that module

        own = {id(parameter) for parameter in module.parameters()}
        holding = [each for each in self.optimizers if any(id(p) in own for p in parameters_of(each))]
        holding = holding or list(stepping)
        watched = watch(
            module,
            LivingOptimizers(holding),
            session=run,
            overhead_budget=self._limits.overhead_budget,
            every=self._limits.every,
            checkpoints=self._limits.checkpoints,
            stepped=self._stepped,
            hooks=hooks,
        )
        self.rounds[id(watched)] = Round(by_backward=not holding)
        try:
            watched.start()
        except Exception:
            watched.abandon()
            raise
        return watched

    def _end_idle(self) -> None:
        """Models whose optimizers are gone are trained no more (the folds of a cross-validation): let go of them."""
        for each in list(self.watches):
            if each.number and not each.optimizers and not self.rounds[id(each)].by_backward:
                each.finish()
                self.watches.remove(each)
                del self.rounds[id(each)]

    def _name(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name} {count}"

    def parameters(self) -> set[int]:
        """The ids of all parameters that belong to models that are watched."""
        return {id(parameter) for each in self.watches for parameter in each.model.parameters()}

    def guarded(self, watched: Watch, act: Callable[..., None], *about: Any) -> None:
        """Do something with one model, which is lost where that fails."""
        try:
            act(*about)
        except Exception as problem:
            self.lose(watched, f"{type(problem).__name__}: {problem}")

    def lose(self, watched: Watch, message: str) -> None:
        """It goes on unwatched; said once, and kept in its run."""
        if watched in self.watches:
            self.watches.remove(watched)
            self._say(f"{kind_of(watched.model)} goes on unwatched from here: {message}")
            self.lost.add(watched, message)


def kind_of(module: nn.Module) -> str:
    """What its runs are named after."""
    return "tensors" if isinstance(module, LooseTensors) else type(unwrapped(module)).__name__
