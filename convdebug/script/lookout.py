"""Watches a script that is not ours: one watch for each model that it trains, a step at each step of its optimizers."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from convdebug.instruments.anatomy import unwrapped
from convdebug.instruments.backward import listen_to_tensors, stop_listening_to_tensors
from convdebug.instruments.home import claim, heard_in, is_elsewhere
from convdebug.instruments.losses import hold, let_go
from convdebug.instruments.pending import first_of
from convdebug.instruments.unhooked import leave_modules_as_they_are, leave_modules_clean
from convdebug.instruments.unregistered import leaves_of
from convdebug.instruments.wishes import TrainingStopped
from convdebug.watched import Watch, is_watched

from .criteria import Criteria
from .doors import Doors
from .finding import family_of, parameters_of
from .limits import Limits, ScriptStopped
from .living import LivingModules
from .loose import LooseTensors
from .models import StartRun, WatchedModels
from .wrapping import telling, telling_result

PATIENCE = 64
"""So many backward passes without any step of an optimizer are taken for accumulation; beyond, each is a step."""

FEW = 3
IN_VAIN = 2
"""So many steps after backward passes, without a gradient for any of the optimizer's parameters, are a mistake."""


class Lookout:
    """Hears optimizers being made and stepped; `start_run` opens a run in the session when a model is first trained.

    What goes wrong here is said once and never reaches the script: the model at fault goes on unwatched, where it is
    known which one that is, else all of them do.
    """

    def __init__(self, start_run: StartRun, limits: Limits, say: Callable[[str], None]) -> None:
        self.backwards = 0
        self._limits, self._say = limits, say
        self._models = WatchedModels(start_run, limits, say, self._stepped)
        self._doors = Doors(self._entered)
        self._criteria = Criteria()
        self._looked_for_criteria = False
        self._modules = LivingModules()
        self.optimizers_made = 0
        self._makers: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._all_settled = False
        self._stepped_here: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._settled: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._stepping: list[Optimizer] = []
        self._in_vain: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._backwards_before = 0
        self._hooks: list[RemovableHandle] = []
        self._originals: list[Any] = []
        self._compiles = self._adversarial = False
        self._blind = False
        self._stopped: str | None = None
        self._said_elsewhere = False

    @property
    def watches(self) -> list[Watch]:
        """Those that go on."""
        return self._models.watches

    @property
    def runs(self) -> list[int]:
        """The run of every model that was ever watched."""
        return self._models.runs

    # coming and going

    def start(self) -> None:
        """From now on hear what the script does."""
        self._hooks = [
            register_optimizer_step_pre_hook(self._step_begins),
            register_optimizer_step_post_hook(self._step_ended),
        ]
        listen_to_tensors(self._hear_backward)
        self._modules.start()
        leave_modules_clean(self)
        hold()
        self._originals = [Optimizer.__init__, torch.compile]
        Optimizer.__init__ = telling(Optimizer.__init__, self._made)  # type: ignore[method-assign]
        torch.compile = telling_result(torch.compile, self._compiled)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._abandon)

    def stop(self, status: str, reason: str | None, error: BaseException | None = None) -> None:
        """The script is over: end every run."""
        Optimizer.__init__, torch.compile = self._originals  # type: ignore[method-assign]
        stop_listening_to_tensors(self._hear_backward)
        self._modules.stop()
        let_go()
        for hook in self._hooks:
            hook.remove()
        self._doors.close()
        self._criteria.close()
        leave_modules_as_they_are(self)
        for each in list(self.watches):
            self._models.guarded(each, self._end, each, status, reason, error)
        self._models.lost.finish(status, reason)
        self._blind = True

    def _end(self, watched: Watch, status: str, reason: str | None, error: BaseException | None) -> None:
        with contextlib.suppress(ScriptStopped):
            if not self._blind:
                self._count_step(watched)
        if error is not None:
            watched.crash(error)
        else:
            watched.finish(status, reason)

    def _abandon(self) -> None:
        """A child after a fork (a DataLoader's worker): what it does is its own."""
        self._blind = True
        self._doors.close()
        for each in self.watches:
            each.abandon()

    def _guarded(self, act: Callable[..., None], *about: Any) -> None:
        if self._blind:
            return
        try:
            act(*about)
        except Exception as problem:
            self._blind = True
            self._say(f"the script goes on unwatched from here: {type(problem).__name__}: {problem}")
            for each in self.watches:
                each.event("instrument-failed", instrument="lookout", message=f"{type(problem).__name__}: {problem}")

    # finding what is trained

    def _made(self, optimizer: Optimizer) -> None:
        if is_elsewhere():
            self._say_elsewhere()
        else:
            self._guarded(self._take_in, optimizer)

    def _say_elsewhere(self) -> None:
        if not self._said_elsewhere:
            self._said_elsewhere = True
            self._say("training in a second thread is not watched")

    def _take_in(self, optimizer: Optimizer) -> None:
        self._models.optimizers.append(optimizer)
        self._all_settled = False
        self._makers[optimizer] = threading.get_ident()
        self.optimizers_made += 1
        if self._is_settled(optimizer):
            return
        for module in family_of(parameters_of(optimizer), self._modules.known()).candidates():
            if not is_watched(module):
                self._doors.add(module)

    def _is_settled(self, optimizer: Optimizer) -> bool:
        """Whether every parameter of the optimizer belongs to models that are watched."""
        if optimizer in self._settled:
            return True
        known = self._models.parameters()
        if known and all(id(parameter) in known for parameter in parameters_of(optimizer)):
            self._settled.add(optimizer)
            return True
        return False

    def _compiled(self, result: Any) -> None:
        self._compiles = True
        if isinstance(result, nn.Module):
            self._guarded(self._doors.take_over, result)

    def _entered(self, module: nn.Module) -> None:
        if claim():
            self._guarded(self._enter, module)

    def _enter(self, module: nn.Module) -> None:
        """The script calls a candidate with recorded gradients: this is what it trains."""
        self._doors.remove(module)
        if not is_watched(module):
            self._watch(module)

    def _watch(
        self, module: nn.Module, note: str | None = None, hooks: bool = True, stepping: Sequence[Optimizer] = ()
    ) -> list[Watch]:
        return self._models.begin(module, note, hooks, self._stepping[0] if self._stepping else None, stepping)

    # backward passes

    def _hear_backward(self, begins: bool, tensors: Any, gradients: Any) -> None:
        if not heard_in and not claim():
            return
        if begins:
            self.backwards += 1
            if self._models.lost.still_hearing:
                self._models.lost.silence()
            return
        if not (self._looked_for_criteria and self._all_settled and self._models.watches):
            self._guarded(self._look_after_backward, tensors, gradients)
        self._step_by_backward()

    def _look_after_backward(self, tensors: Any, gradients: Any) -> None:
        """Settle what was trained without being called as a whole: methods, wrappers made later, raw tensors."""
        if not self._looked_for_criteria:
            self._looked_for_criteria = True
            self._criteria.find(self._modules.known())
        if not self._all_settled:
            self._settle_optimizers(tensors, gradients)
        if not self._models.watches:
            self._look_without_optimizer(tensors, gradients)

    def _settle_optimizers(self, tensors: Any, gradients: Any) -> None:
        here = threading.get_ident()
        self._all_settled = True
        for optimizer in self._models.optimizers:
            if self._is_settled(optimizer):
                continue
            # what was made in another thread may be trained elsewhere too, where its gradients come and go
            ours = self._makers.get(optimizer) == here or optimizer in self._stepped_here
            if ours and any(each.grad is not None for each in parameters_of(optimizer)):
                self._settled.add(optimizer)
                for each in self._settle(parameters_of(optimizer)):
                    self._models.guarded(each, each.hear_late, tensors, gradients)
            else:
                self._all_settled = False

    def _look_without_optimizer(self, tensors: Any, gradients: Any) -> None:
        """Something is trained that no optimizer holds: there is none, or those that step were made for another."""
        first = first_of(tensors)
        stepping = [each for each, steps in self._in_vain.items() if steps >= IN_VAIN]
        if first is None or (self.optimizers_made and not stepping):
            return
        leaves = [each for each in leaves_of(first) if each.grad is not None]
        for each in self._settle(leaves, stepping):
            self._models.rounds[id(each)].by_backward = not stepping
            self._models.guarded(each, each.hear_late, tensors, gradients)

    def _settle(self, parameters: list[Tensor], stepping: Sequence[Optimizer] = ()) -> list[Watch]:
        known = self._models.parameters()
        family = family_of([each for each in parameters if id(each) not in known], self._modules.known())
        made: list[Watch] = []
        for module in family.roots_unheard():
            self._doors.remove(module)
            if not is_watched(module):
                made += self._watch(module, self._unheard(module), hooks=not self._compiles, stepping=stepping)
        if family.orphans and len(family.orphans) == len({id(each) for each in parameters} - known):
            note = "no module that takes hooks owns what is trained: activations and inputs cannot be seen"
            made += self._watch(LooseTensors(list(family.orphans)), note)
        return made

    def _unheard(self, module: nn.Module) -> str | None:
        name = type(unwrapped(module)).__name__
        if not self.optimizers_made:
            return f"no optimizer of torch.optim trains {name}: each backward pass is counted as a step"
        if self._in_vain:
            return f"{name} receives gradients, and no optimizer that steps holds any of its parameters"
        if self._compiles:
            return f"{name} runs inside a compiled function: its activations and inputs cannot be seen"
        return f"{name} is not called as a whole at its first step: its first inputs cannot be seen"

    def _step_by_backward(self) -> None:
        if self._blind:
            return
        for each in tuple(self._models.watches):
            now = self._models.rounds[id(each)]
            now.waiting_backwards += 1
            if not now.by_backward and each.number == 0 and now.waiting_backwards > PATIENCE and each.pending:
                now.by_backward = True
                each.count_every_call()
            if now.by_backward and each.pending:
                self._step(each)

    # steps

    def _step_begins(self, optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
        if self._blind:
            return
        if not claim():
            self._say_elsewhere()
            return
        if optimizer in self._stepping:  # its last step raised and never ended
            del self._stepping[self._stepping.index(optimizer) :]
        self._stepping.append(optimizer)
        if not self._all_settled:
            self._stepped_here.add(optimizer)
        models = self._models
        if not models.watches:
            self._guarded(self._count_in_vain, optimizer)
        if len(self._stepping) == 1:
            for each in list(models.watches):
                if id(optimizer) in models.rounds[id(each)].done:
                    self._count_step(each)

    def _count_in_vain(self, optimizer: Optimizer) -> None:
        if any(each.grad is not None for each in parameters_of(optimizer)):
            self._in_vain.pop(optimizer, None)
        elif self.backwards > self._backwards_before:
            self._in_vain[optimizer] = self._in_vain.get(optimizer, 0) + 1
            self._backwards_before = self.backwards

    def _step_ended(self, optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
        if not is_elsewhere() and optimizer in self._stepping:
            del self._stepping[self._stepping.index(optimizer) :]

    def _stepped(self, watched: Watch, optimizer: Optimizer) -> None:
        """An optimizer of a watched model has stepped; one inside another's step is a part of it."""
        models = self._models
        if self._stepping or self._blind or watched in models.lost.watches:
            return
        now = models.rounds[id(watched)]
        now.by_backward = False
        now.done.add(id(optimizer))
        if (now.active if now.active is not None else {id(each) for each in watched.optimizers}) <= now.done:
            now.close()
            self._step(watched)

    def _count_step(self, watched: Watch) -> None:
        now = self._models.rounds[id(watched)]
        if now.done:
            now.close()
            self._step(watched)

    def _step(self, watched: Watch) -> None:
        try:
            watched.step()
        except TrainingStopped as stop:
            self._stopped = str(stop)
        except Exception as problem:
            self._models.lose(watched, f"{type(problem).__name__}: {problem}")
        watches = self._models.watches
        for each in watches if len(watches) > 1 else ():
            each.others_stepped()
            if each.discarded > FEW and not self._adversarial:
                self._say_adversarial()
        limit = self._limits.steps
        if limit is not None and watches and not any(0 < each.number < limit for each in watches):
            self._stopped = f"stopped after {limit} steps (--steps)"
        if self._stopped is not None and not self._blind:
            raise ScriptStopped(self._stopped)

    def _say_adversarial(self) -> None:
        """A model's loss goes through another one, which throws the gradients away: they train against each other."""
        self._adversarial = True
        for each in self.watches:
            each.run.update_info(adversarial=True)
