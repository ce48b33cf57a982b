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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from convdebug_sessions import Recorder, RunRecorder, Wish
from torch import Tensor, nn
from torch.optim import Optimizer

from .instruments import INSTRUMENTS, Moment, Scene
from .instruments.anatomy import is_compiled, parameter_infos, unwrapped
from .instruments.losses import listen, stop_listening
from .instruments.rack import Rack
from .instruments.readback import Readback
from .instruments.root import Root
from .instruments.stepping import Stepping, held_parameters
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
    clock: Callable[[], float] = time.perf_counter,
) -> Watch:
    """Watch the training of `model`; use as `with watch(model, optimizer) as watched:` and call `watched.step(loss)`.

    `session` is a file, a Recorder, or a run that is already open (which is then finished here); without one a new
    file is made in the current folder. `overhead_budget` is the share of a step's time that measuring may cost;
    `every=N` measures everything at every N-th step instead, whatever it costs. `images` (N, C, H, W), as the network
    takes them, are the fixed batch whose predictions are followed; by default the first batch seen is.
    `checkpoints=N` keeps the weights at every N-th step. `on_wish` is offered wishes that the watch cannot grant
    itself and says whether it took them; `data.batch_size` also shows as `wanted_batch_size`.
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or [])
    known = {"source": "watch", **(info or {})}
    if loss is not None:
        known.setdefault("loss", describe_loss(loss))
    run, recorder = opened_run(session, kind, name, known)
    return Watch(
        model,
        optimizers,
        run,
        recorder,
        info=known,
        overhead_budget=overhead_budget,
        every=every,
        checkpoints=checkpoints,
        images=images,
        image_labels=image_labels,
        class_names=class_names,
        on_wish=on_wish,
        clock=clock,
    )


def opened_run(
    session: str | os.PathLike[str] | Recorder | RunRecorder | None, kind: str, name: str, info: dict[str, Any]
) -> tuple[RunRecorder, Recorder | None]:
    """The run to record into, and the recorder if it was opened here and is to be closed here."""
    if isinstance(session, RunRecorder):
        return session, None
    if isinstance(session, Recorder):
        return session.start_run(kind, name, info=info), None
    if session is None:
        session = fresh_path()
        print(f"convdebug: recording into {session}", file=sys.stderr)
    recorder = Recorder.create(session)
    return recorder.start_run(kind, name, info=info), recorder


def fresh_path(folder: Path | None = None) -> Path:
    """A session file that does not exist yet, named after the script and the time, in the current folder."""
    script = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "run"
    stem = f"{script}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = folder or Path.cwd()
    names = (f"{stem}.convdebug", *(f"{stem}-{number}.convdebug" for number in range(2, 1000)))
    return next(folder / name for name in names if not (folder / name).exists())


def describe_loss(loss: Any) -> dict[str, Any]:
    """A loss function or module as `run.info["loss"]` holds it."""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    return {"name": name, "reduction": getattr(loss, "reduction", "mean")}


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as `run.info["optimizer"]` holds it: name and the settings of its first group."""
    group = optimizer.param_groups[0]
    settings = {key: value for key, value in group.items() if isinstance(value, bool | int | float | tuple)}
    return {"name": type(optimizer).__name__, **settings, "lr": float(group["lr"])}


class Watch:
    """One watched run. Does nothing to the training but wait while it is paused and set what was wished."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        run: RunRecorder,
        recorder: Recorder | None,
        *,
        info: dict[str, Any],
        overhead_budget: float,
        every: int | None,
        checkpoints: int,
        images: Any,
        image_labels: Sequence[Any] | None,
        class_names: Sequence[str] | None,
        on_wish: Callable[[Wish], bool] | None,
        clock: Callable[[], float],
    ) -> None:
        self.run = run
        self.number = 0
        self.wanted_batch_size: int | None = None
        self._recorder = recorder
        self._clock = clock
        self._on_wish = on_wish
        self._checkpoints = checkpoints
        self._stepping = Stepping(model, optimizers, self._before_update, self._after_update, self._attempted)
        self._wishes = Wishes(run, self._stepping.optimizers, self._take_wish)
        inner = unwrapped(model)
        self._scene = Scene(
            model=model,
            inner=inner,
            device=next((parameter.device for parameter in inner.parameters()), torch.device("cpu")),
            run=run,
            clock=clock,
            readback=Readback(),
            optimizers=self._stepping.optimizers,
            compiled=is_compiled(model),
            images=images,
            image_labels=image_labels,
            class_names=class_names,
            info=dict(info),
        )
        self._root = Root(model)
        self._rack = Rack(INSTRUMENTS, self._scene, overhead_budget, every)
        self._moment = Moment(0)
        self._steps_by_optimizer = bool(optimizers)
        self._pending_loss: Any = None
        self._pending_calls = 0
        self._watching = 0.0
        self._groups: dict[str, Any] = {}
        self._last_steps: dict[str, int] = {}
        self._running = False
        self._started = self._ended = clock()
        self._tell_anatomy()

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
        self._started = self._ended = self._clock()
        self._begin_step()

    def finish(self, status: str = "finished", reason: str | None = None) -> None:
        """Stop watching and end the run; leaving the `with` block does it."""
        if not self._running:
            return
        self._running = False
        stop_listening(self._see_loss)
        self._stepping.stop()
        self._root.detach()
        self._rack.close()
        self._scene.readback.finish()
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
            self._pending_loss = _sum(self._pending_loss, loss)
            self._pending_calls += 1
            return
        moment, self._pending_calls = self._moment, 0
        total, self._pending_loss = _sum(self._pending_loss, loss), None
        self._record_row(moment.step, total, entered)
        if accuracy is not None:
            moment.accuracy_given = True
            self._record_scalar("train/accuracy", moment.step, _share(accuracy))
        for name, value in scalars.items():
            self._record_scalar(name, moment.step, value)
        measured = self._rack.record(moment)
        self._scene.readback.collect()
        self._end_step(entered, measured)

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

    def _end_step(self, entered: float, measured: float) -> None:
        step, self.number = self._moment.step, self.number + 1
        if self._checkpoints and step % self._checkpoints == 0:
            self._keep_weights(step)
        if self._wishes.waiting:
            self._wishes.obey(step, self._scene.readback.finish)
        self._begin_step()
        now = self._clock()
        inside = now - entered
        own = self._watching + measured
        self._rack.schedule.stepped(max(entered - self._ended - own, 0.0), max(inside - measured, 0.0))
        self._ended, self._watching = now, 0.0

    def _begin_step(self) -> None:
        self._moment = Moment(self.number)
        if self.number % 64 == 0:
            self._scene.look_again()
        self._rack.arm(self.number)
        if any(instrument.needs_root for instrument in self._rack.active):
            self._root.attach(self._moment)
        else:
            self._root.detach()

    def _is_micro_batch(self) -> bool:
        if self._moment.updates or not self._steps_by_optimizer:
            return False
        if self._pending_calls >= MOST_MICRO_BATCHES:
            self._steps_by_optimizer = False
            text = (
                f"{self._pending_calls} calls of step() and no step of the optimizer: from here on each call is a step"
            )
            self.run.event("note", self.number, text=text)
            return False
        return True

    def _learning_rate(self) -> float:
        optimizers = self._stepping.optimizers
        return float(optimizers[0].param_groups[0]["lr"]) if optimizers else math.nan

    # what happens between two steps

    def _before_update(self, optimizer: Optimizer) -> None:
        moment = self._moment
        if moment.updates == 0:
            self._steps_by_optimizer = self._steps_by_optimizer or self._pending_calls < MOST_MICRO_BATCHES
            if self._rack.active:
                self._rack.before_update(moment)
        moment.updates += 1

    def _after_update(self, optimizer: Optimizer) -> None: ...

    def _attempted(self) -> None:
        self._moment.updates += 1

    def _see_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        if value.requires_grad and isinstance(scores, Tensor) and isinstance(labels, Tensor):
            moment = self._moment
            moment.scores, moment.labels = scores.detach(), labels
            moment.loss_name, moment.loss_reduction = name, reduction

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

    def _tell_anatomy(self) -> None:
        scene, optimizers = self._scene, self._stepping.optimizers
        facts: dict[str, Any] = {
            "device": str(scene.device),
            "parameters": parameter_infos(scene.inner, held_parameters(optimizers)),
            "parameter_count": sum(parameter.numel() for parameter in scene.inner.parameters()),
            "versions": {"torch": torch.__version__, "python": sys.version.split()[0], "numpy": np.__version__},
        }
        if optimizers:
            facts["optimizer"] = describe_optimizer(optimizers[0])
        scene.tell(**{key: value for key, value in facts.items() if key not in scene.info})


def _sum(pending: Any, loss: Any) -> Any:
    loss = loss.detach() if isinstance(loss, Tensor) else loss
    return loss if pending is None else pending + loss


def _share(accuracy: Any) -> Any:
    if isinstance(accuracy, Tensor) and accuracy.dtype == torch.bool:
        return accuracy.to(torch.float32).mean()
    return accuracy


class _Callable(types.ModuleType):
    """`convdebug.watch(model)` works whether or not this module was imported as one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Watch:
        return watch(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
