"""How a watched run begins: the file it goes into, and what is known before its first step."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from convdebug.partials import taken_apart
from convdebug_sessions import Recorder, RunRecorder, Session, SessionError

from .anatomy import parameter_infos, size_of
from .instrument import Scene
from .stepping import held_parameters


def opened_run(
    session: str | os.PathLike[str] | Recorder | RunRecorder | None,
    kind: str,
    name: str,
    info: dict[str, Any],
    append: bool = False,
) -> tuple[RunRecorder, Recorder | None]:
    """The run to record into, and the recorder if it was opened here and is to be closed here."""
    if isinstance(session, RunRecorder):
        session.update_info(**{key: value for key, value in info.items() if key not in session.info})
        return session, None
    if isinstance(session, Recorder):
        return session.start_run(kind, name, info=info), None
    if session is None:
        session = fresh_path()
        print(f"convdebug: recording into {session}", file=sys.stderr)
    exists = Path(session).exists()
    recorder = Recorder.append(session) if exists and append else _created(Path(session))
    run = recorder.start_run(kind, name, info=info)
    if exists:
        print(f"convdebug: recording into {session}, as run {run.id}", file=sys.stderr)
    return run, recorder


def _created(path: Path) -> Recorder:
    """A new session; SessionError with the ways out where the file exists."""
    if path.is_file():
        try:
            Session.open(path).close()
        except SessionError as problem:
            raise SessionError(f"{problem}, and it is not overwritten: name another file") from problem
        raise SessionError(
            f"{path} exists already: append=True adds a run to it; another name, or no session at all, makes a new file"
        )
    return Recorder.create(path)


def is_interactive() -> bool:
    """Whether the code is typed in: a cell of a notebook is run again and again."""
    ipython = sys.modules.get("IPython")
    return hasattr(sys, "ps1") or (ipython is not None and ipython.get_ipython() is not None)


def fresh_path(folder: Path | None = None) -> Path:
    """A session file that does not exist yet, named after the script and the time, in the current folder."""
    stem = f"{_script()}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = folder or Path.cwd()
    names = (f"{stem}.convdebug", *(f"{stem}-{number}.convdebug" for number in range(2, 1000)))
    return next(folder / name for name in names if not (folder / name).exists())


def _script() -> str:
    """The script, or the notebook where its server says which one it is."""
    script = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "run"
    if script == "ipykernel_launcher":
        script = Path(os.environ.get("JPY_SESSION_NAME", "notebook")).stem
    return script


def describe_loss(loss: Any) -> dict[str, Any]:
    """A loss function or module as `run.info["loss"]` holds it; a `functools.partial` is what it was made of."""
    loss, settings = taken_apart(loss)
    name = getattr(loss, "__name__", None) or type(loss).__name__
    of_torch = getattr(loss, "__module__", "") == "torch.nn.functional"
    said = settings.get("reduction") if of_torch else None
    return {"name": name, "reduction": said or getattr(loss, "reduction", "mean" if of_torch else "own")}


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as `run.info["optimizer"]` holds it: name and the settings of its first group."""
    group = optimizer.param_groups[0]
    settings = {key: value for key, value in group.items() if isinstance(value, bool | int | float | tuple)}
    return {"name": type(optimizer).__name__, **settings, "lr": float(group["lr"])}


def accelerators() -> list[str]:
    """The CUDA or MPS devices of this machine, whether used or not; asking does not initialize them."""
    if torch.backends.mps.is_available():
        return ["mps"]
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def tell_anatomy(scene: Scene) -> None:
    """Write into the run's info what the model, its parameters and its optimizers are."""
    facts: dict[str, Any] = {
        "device": str(scene.device),
        "accelerators": accelerators(),
        "parameters": parameter_infos(scene.inner, held_parameters(scene.optimizers)),
        "parameter_count": sum(size_of(parameter) for _, parameter in scene.parameters),
        "versions": {"torch": torch.__version__, "python": sys.version.split()[0], "numpy": np.__version__},
    }
    if scene.optimizers:
        facts["optimizer"] = describe_optimizer(scene.optimizers[0])
    scene.tell(**{key: value for key, value in facts.items() if key not in scene.info or key == "parameters"})
