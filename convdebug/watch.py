"""Instruments around anybody's training loop: two lines in the loop, one recorded run in a session."""

from __future__ import annotations

import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convdebug.errors import UserError
from convdebug_sessions import Recorder, RunRecorder, Wish

from .instruments import INSTRUMENTS, Scene
from .instruments.anatomy import is_compiled, unwrapped
from .instruments.opening import describe_loss, is_interactive, opened_run
from .instruments.rack import Rack
from .instruments.readback import Readback
from .instruments.wishes import TrainingStopped
from .lives import end_forgotten, end_forgotten_of
from .watched import Watch, is_watched

__all__ = ["TrainingStopped", "Watch", "is_watched", "watch"]


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    session: str | os.PathLike[str] | Recorder | RunRecorder | None = None,
    append: bool | None = None,
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
    keep_open: bool = False,
    stepped: Callable[[Watch, Optimizer], None] | None = None,
    hooks: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Watch:
    """Watch the training of `model`; use as `with watch(model, optimizer) as watched:` and call `watched.step(loss)`.

    `session` is a file, a Recorder, or a run that is already open (which is then finished here unless `keep_open`);
    without one a new file is made in the current folder. An existing file is refused unless `append`, which adds the
    run to it; in a notebook that is the default, so that a cell can be run again.
    `overhead_budget` is the share of a step's time that measuring may cost; `every=N` measures everything at every
    N-th step instead, whatever it costs. `images` (N, C, H, W), as the network takes them, are the fixed batch whose
    predictions are followed; by default the first batch seen is.
    `checkpoints=N` keeps the weights at every N-th step. `on_wish` is offered wishes that the watch cannot grant
    itself and says whether it took them; `data.batch_size` also shows as `wanted_batch_size`. `first_step` numbers the
    first step, where a run goes on from a checkpoint. `stepped`: see `Watch`.
    Without `hooks` the model is left alone, and its inputs and activations unseen.
    UserError for what is no model or no optimizer, SessionError for a file that cannot be recorded into.
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else optimizer if optimizer is not None else []
    optimizers = optimizers if isinstance(optimizers, list) else list(optimizers)
    _require_watchable(model, optimizers)
    known = {"source": "watch", **(info or {})}
    if loss is not None:
        known.setdefault("loss", describe_loss(loss))
    append = is_interactive() if append is None else append
    if append and isinstance(session, str | os.PathLike):
        end_forgotten(Path(session))
    end_forgotten_of(unwrapped(model))
    run, recorder = opened_run(session, kind, name, known, append)
    inner = unwrapped(model)
    scene = Scene(
        model=model,
        inner=inner,
        device=next((parameter.device for parameter in inner.parameters()), torch.device("cpu")),
        run=run,
        clock=clock,
        readback=Readback(),
        optimizers=optimizers,
        compiled=is_compiled(model) or not hooks,
        images=images,
        image_labels=image_labels,
        class_names=class_names,
        info={**run.info, **known},
    )
    rack = Rack(INSTRUMENTS, scene, overhead_budget, every)
    return Watch(scene, rack, recorder, checkpoints, on_wish, first_step, keep_open, stepped, hooks)


def _require_watchable(model: Any, optimizers: Sequence[Any]) -> None:
    if not isinstance(model, nn.Module):
        raise UserError(f"watch(model, optimizer): the model is {type(model).__name__}, not a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError("watch(model, optimizer): TorchScript takes no hooks; watch the module before it is scripted")
    for each in optimizers:
        if not isinstance(each, Optimizer):
            raise UserError(f"watch(model, optimizer): {each!r} is {type(each).__name__}, not a torch.optim.Optimizer")


class _Callable(types.ModuleType):
    """`convdebug.watch(model)` works whether or not this module was imported as one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Watch:
        return watch(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
