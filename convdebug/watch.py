"""Instruments around anybody's training loop: two lines in the loop, one recorded run in a session."""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convdebug.errors import UserError
from convdebug_sessions import Recorder, RunRecorder, Wish

from .instruments import INSTRUMENTS, Moment, Scene
from .instruments.anatomy import is_compiled, unwrapped
from .instruments.losses import listen, stop_listening
from .instruments.opening import describe_loss, opened_run, tell_anatomy
from .instruments.origin import Origin
from .instruments.rack import Rack
from .instruments.readback import Readback
from .instruments.root import Root
from .instruments.stepping import Stepping
from .instruments.weights_kept import keep_weights
from .instruments.wishes import TrainingStopped, Wishes

MOST_MICRO_BATCHES = 64
"""So many calls of `step` without an optimizer step are taken for gradient accumulation; beyond, each is a step."""
STEP_SERIES = ("train/loss", "train/lr", "time/wall")

__all__ = ["TrainingStopped", "Watch", "watch"]


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    session: str | os.PathLike[str] | Recorder | RunRecorder | None = None,
    overhead_budget: float = 0.02,
    every: int | None = None,
    loss: Any = None,
    kind: str = "watch",
    name: str = "",
    info: dict[str, Any] | None = None,
    checkpoints: int = 0,
    images: Tensor | np.ndarray | None = None,
    image_labels: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
    on_wish: Callable[[Wish], bool] | None = None,
    first_step: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Watch:
    """Watch the training of `model`; use as `with watch(model, optimizer) as watched:` and call `watched.step(loss)`.

    `session` is a file, a Recorder, or a run that is already open (which is then finished here); without one a new
    file is made in the current folder. `overhead_budget` is the share of a step's time that measuring may cost;
    `every=N` measures everything at every N-th step instead, whatever it costs. `images` (N, C, H, W), as the network
    takes them, are the fixed batch whose predictions are followed; by default the first batch seen is.
    `checkpoints=N` keeps the weights at every N-th step. `on_wish` is offered wishes that the watch cannot grant
    itself and says whether it took them; `data.batch_size` also shows as `wanted_batch_size`. `first_step` numbers the
    first step, where a run goes on from a checkpoint. UserError for what is no model or no optimizer.
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or [])
    _require_watchable(model, optimizers)
    known = {"source": "watch", **(info or {})}
    if loss is not None:
        known.setdefault("loss", describe_loss(loss))
    run, recorder = opened_run(session, kind, name, known)
    inner = unwrapped(model)
    scene = Scene(
        model=model,
        inner=inner,
        device=next((parameter.device for parameter in inner.parameters()), torch.device("cpu")),
        run=run,
        clock=clock,
        readback=Readback(),
        optimizers=optimizers,
        compiled=is_compiled(model),
        images=images,
        image_labels=image_labels,
        class_names=class_names,
        info={**run.info, **known},
    )
    return Watch(scene, Rack(INSTRUMENTS, scene, overhead_budget, every), recorder, checkpoints, on_wish, first_step)


def _require_watchable(model: Any, optimizers: Sequence[Any]) -> None:
    if not isinstance(model, nn.Module):
        raise UserError(f"watch(model, optimizer): the model is {type(model).__name__}, not a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError("watch(model, optimizer): TorchScript takes no hooks; watch the module before it is scripted")
    for each in optimizers:
        if not isinstance(each, Optimizer):
            raise UserError(f"watch(model, optimizer): {each!r} is {type(each).__name__}, not a torch.optim.Optimizer")


class Watch:
    """One watched run. Does nothing to the training but wait while it is paused and set what was wished."""

    def __init__(
        self,
        scene: Scene,
        rack: Rack,
        recorder: Recorder | None,
        checkpoints: int,
        on_wish: Callable[[Wish], bool] | None,
        first_step: int,
    ) -> None:
        self.run = scene.run
        self.number = first_step
        self.wanted_batch_size: int | None = None
        self.examples: Callable[[], Sequence[int] | None] = lambda: None
        """Where the loop knows them: the places in its data set of the examples of the batch under way."""
        self._scene, self._rack, self._recorder = scene, rack, recorder
        self._clock = scene.clock
        self._on_wish = on_wish
        self._checkpoints = checkpoints
        hooks = (self._before_update, self._after_update, self._attempted)
        self._stepping = Stepping(scene.model, scene.optimizers, *hooks)
        self._wishes = Wishes(scene.run, scene.optimizers, self._take_wish)
        self._root = Root(scene.model, scene.clock)
        self._origin = Origin(scene, examples=lambda: self.examples())
        self._moment = Moment(first_step)
        self._steps_by_optimizer = bool(scene.optimizers)
        self._gave_up = False
        self._micro_batches: list[Any] = []
        self._groups: dict[str, Any] = {}
        self._last_steps: dict[str, int] = {}
        self._running = False
        self._started = self._ended = scene.clock()
        tell_anatomy(scene)

    # a run begins and ends

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool:
        if error is None:
            self.finish()
        elif isinstance(error, TrainingStopped):
            self.finish("stopped", str(error))
            return True
        elif isinstance(error, KeyboardInterrupt):
            self.finish("stopped", "interrupted from the keyboard")
        else:
            self._record_crash(error)
        return False

    def start(self) -> None:
        """Begin to watch; entering the `with` block does it."""
        self._group = self.run.group(STEP_SERIES)
        self._running = True
        self._stepping.start()
        listen(self._see_loss)
        self._origin.start()
        self._started = self._ended = self._clock()
        if self._scene.compiled:
            self.run.event(
                "note", 0, text="the model is compiled: activations come from a plain pass on the same batch"
            )
        self._begin_step()

    def finish(self, status: str = "finished", reason: str | None = None) -> None:
        """Stop watching and end the run; leaving the `with` block does it."""
        if not self._running:
            return
        if self._micro_batches and self.number == 0:
            self._count_every_call()
        self._running = False
        stop_listening(self._see_loss)
        self._stepping.stop()
        self._root.detach()
        self._rack.close()
        self._scene.readback.finish()
        self._origin.stop()
        self.run.finish(status, reason)
        if self._recorder is not None:
            self._recorder.close()

    def _record_crash(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        self.run.event("crash", self.number, type=type(error).__name__, message=str(error), traceback=text)
        self.finish("crashed", f"{type(error).__name__}: {error}")

    # a step

    def step(self, loss: Any = None, accuracy: Any = None, **scalars: Any) -> None:
        """One optimizer step is over: record it, obey wishes, make ready for the next.

        `loss` and the scalars may be tensors on any device; they are read without making the device wait. `accuracy`
        may be a share, or a boolean tensor (N,) that says which examples were right. Calls between two steps of the
        optimizer are micro-batches: their losses are summed. Raises TrainingStopped if that was wished.
        """
        entered = self._clock()
        if self._is_micro_batch():
            self._micro_batches.append(loss.detach() if isinstance(loss, Tensor) else loss)
            return
        moment = self._moment
        self._record_row(moment.step, self._with_micro_batches(loss), entered)
        if accuracy is not None:
            scalars["train/accuracy"] = _share(accuracy)
        for name, value in scalars.items():
            self._record_scalar(name, moment.step, value)
        moment.given.update(scalars)
        hooks = self._rack.record(moment)
        self._scene.readback.collect()
        self._end_step(entered, hooks)

    def _record_row(self, step: int, loss: Any, now: float) -> None:
        rate, wall, group = self._learning_rate(), now - self._started, self._group
        if isinstance(loss, Tensor) and loss.device.type != "cpu":
            self._scene.readback.put(loss.reshape(1), lambda row: group.append(step, (float(row[0]), rate, wall)))
        else:
            group.append(step, (math.nan if loss is None else float(loss), rate, wall))

    def _record_scalar(self, name: str, step: int, value: Any) -> None:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = self.run.group((name,))
        if self._last_steps.get(name, -1) >= step:
            self.run.event("note", step, text=f"{name} was given twice at step {step}; the first value is kept")
            return
        self._last_steps[name] = step
        if isinstance(value, Tensor) and value.device.type != "cpu":
            self._scene.readback.put(value.reshape(1), lambda row: group.append(step, row))
        else:
            group.append(step, (float(value),))

    def _end_step(self, entered: float, hooks: float) -> None:
        step, self.number = self._moment.step, self.number + 1
        if self._checkpoints and step % self._checkpoints == 0:
            keep_weights(self._scene, step)
        if self._wishes.waiting:
            self._wishes.obey(step, self._scene.readback.finish)
        self._begin_step()
        now = self._moment.began_at = self._clock()
        base = now - entered - self._rack.record_seconds - self._rack.arm_seconds
        self._rack.schedule.stepped(max(entered - self._ended - hooks, 0.0), max(base, 0.0))
        self._ended = now

    def _begin_step(self) -> None:
        self._moment = Moment(self.number, began_at=self._clock())
        self._origin.begin(self.number)
        if self.number % 64 == 0:
            self._scene.look_again()
        if self._rack.arm(self._moment):
            self._root.attach(self._moment)
        else:
            self._root.detach()

    def _is_micro_batch(self) -> bool:
        if self._moment.updates or self._moment.attempted or not self._steps_by_optimizer:
            return False
        if len(self._micro_batches) >= MOST_MICRO_BATCHES:
            self._count_every_call()
            return False
        return True

    def _count_every_call(self) -> None:
        """The optimizer does not step: what was taken for micro-batches were steps."""
        self._steps_by_optimizer, self._gave_up = False, True
        calls, self._micro_batches = self._micro_batches, []
        text = f"{len(calls)} calls of step(), and the optimizer did not step: each call is counted as a step"
        self.run.event("note", self.number, text=text)
        for loss in calls:
            self._record_row(self.number, loss, self._clock())
            self.number += 1
        self._moment.step = self.number

    def _with_micro_batches(self, loss: Any) -> Any:
        if not self._micro_batches:
            return loss.detach() if isinstance(loss, Tensor) else loss
        parts, self._micro_batches = [part for part in (*self._micro_batches, loss) if part is not None], []
        return sum(part.detach() if isinstance(part, Tensor) else part for part in parts) if parts else None

    def _learning_rate(self) -> float:
        optimizers = self._scene.optimizers
        return float(optimizers[0].param_groups[0]["lr"]) if optimizers else math.nan

    # what happens between two steps

    def _before_update(self, optimizer: Optimizer) -> None:
        moment = self._moment
        if moment.updates == 0 and self._rack.active:
            self._rack.before_update(moment)
        self._origin.before_update(optimizer, moment)
        moment.updates += 1
        if not self._gave_up:
            self._steps_by_optimizer = True
        if moment.timeline is not None:
            moment.timeline.start("optimizer")

    def _after_update(self, optimizer: Optimizer) -> None:
        self._origin.after_update()
        if self._moment.timeline is not None:
            self._moment.timeline.end("optimizer")

    def _attempted(self) -> None:
        """A gradient scaler was asked to step: it may skip the update, or the optimizer says itself that it steps."""
        self._moment.attempted = True
        self._origin.attempted()

    def _see_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        if value.requires_grad and isinstance(scores, Tensor) and isinstance(labels, Tensor):
            moment = self._moment
            moment.scores, moment.labels = scores.detach(), labels
            moment.loss_name, moment.loss_reduction = name, reduction

    @property
    def paused(self) -> bool:
        """Whether the training waits because the window wished it to."""
        return self._wishes.paused

    def validation(self, loss: Any = None, accuracy: Any = None, **scalars: Any) -> None:
        """Record what an evaluation found, at the last finished step: `val/loss`, `val/accuracy`, `val/<name>`."""
        values = {"loss": loss, "accuracy": None if accuracy is None else _share(accuracy), **scalars}
        for name, value in values.items():
            if value is not None:
                self._record_scalar(f"val/{name}", max(self.number - 1, 0), value)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the step oneself: `with watched.phase("augmentation")` gives `time/augmentation`."""
        started, step = self._clock(), self.number
        try:
            yield
        finally:
            self._record_scalar(f"time/{name}", step, self._clock() - started)

    def event(self, kind: str, **data: Any) -> None:
        """Record that something happened at this step, for example `event("epoch", epoch=3)`."""
        self.run.event(kind, self.number, **data)

    def change(self, key: str, old: Any, new: Any, by: str = "user") -> None:
        """Record that the loop itself changed a setting, for example its batch size."""
        self.run.event("change", self.number, key=key, old=old, new=new, by=by)

    # wishes and facts

    def _take_wish(self, wish: Wish) -> bool:
        taken = bool(self._on_wish and self._on_wish(wish))
        value = wish.value if isinstance(wish.value, dict) else {}
        if "data.batch_size" in value:
            self.wanted_batch_size = int(value["data.batch_size"])
            return True
        return taken


def _share(accuracy: Any) -> Any:
    if isinstance(accuracy, Tensor) and accuracy.dtype == torch.bool:
        return accuracy.to(torch.float32).mean()
    return accuracy


class _Callable(types.ModuleType):
    """`convdebug.watch(model)` works whether or not this module was imported as one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Watch:
        return watch(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
