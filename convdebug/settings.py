"""The sections of a RunConfig: every setting with its default, range, unit and explanation; loads no torch."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from convdebug.catalogue import TABLES


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not a switch")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_number)]
Absent = BeforeValidator(lambda value: None if value == "none" else value)


def setting(default: Any, title: str, description: str, *, live: bool = False, extra: Any = None, **limits: Any) -> Any:
    """A field with what a form needs: title, description, limits, and ``extra`` (unit, usual range, choices)."""
    return Field(
        default, title=title, description=description, json_schema_extra={"live": live, **(extra or {})}, **limits
    )


def one_of(names: Iterable[str], default: str, title: str, description: str, also: str = "") -> Any:
    """A field whose value is one of ``names``, or matches the pattern ``also``."""
    known = list(names)
    pattern = "|".join([*(re.escape(name) for name in known), also] if also else [re.escape(name) for name in known])
    extra = {"choices": known} if also else {"choices": known, "enum": known}
    return setting(default, title, description, extra=extra, pattern=f"^({pattern})$")


def name_of(key: str, default: str, title: str, description: str) -> Any:
    """A field whose value is a name in the catalogue's table for ``key``."""
    return one_of(TABLES[key], default, title, description, also=r"torchvision:\w+" if key == "model.name" else "")


class Section(BaseModel):
    """Part of a RunConfig: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


class DataConfig(Section):
    """Where the examples come from and how they reach the network."""

    name: str = name_of("data.name", "shapes10", "Data set", "what to train on")
    root: Annotated[str | None, Absent] = setting(
        None, "Folder", "where the files of data sets are; CONVDEBUG_DATA when not given", extra={"format": "folder"}
    )
    limit: Annotated[Whole | None, Absent] = setting(
        None, "Limit", "only the first so many training examples", ge=1, extra={"unit": "examples"}
    )
    val_limit: Annotated[Whole | None, Absent] = setting(
        None, "Validation limit", "only the first so many validation examples", ge=1, extra={"unit": "examples"}
    )
    holdout: Annotated[Whole | None, Absent] = setting(
        None, "Hold out", "validate on the last so many training examples, not on the test set", ge=1,
        extra={"unit": "examples"},
    )  # fmt: skip
    batch_size: Whole = setting(
        128, "Batch size", "examples per step", ge=1, le=1_000_000, live=True,
        extra={"unit": "examples", "usual": [1, 1024], "scale": "log"},
    )  # fmt: skip
    preprocessing: str = name_of(
        "data.preprocessing",
        "normalize",
        "Preprocessing",
        "from statistics of the training split; pixels come as 0–255",
    )
    augmentation: str = name_of("data.augmentation", "none", "Augmentation", "random changes of the training pictures")
    shuffle: bool = setting(True, "Shuffle", "a new order of the training examples in every epoch")
    download: bool = setting(False, "Download", "fetch the files into the folder when they are missing")
    workers: Whole = setting(0, "Workers", "processes that prepare batches", ge=0, le=64, extra={"unit": "processes"})
    picture_size: Whole = setting(
        64,
        "Picture size",
        "side to which the pictures of a folder are brought",
        ge=8,
        le=1024,
        extra={"unit": "pixels"},
    )

    def folder(self) -> Path:
        """The folder of the data sets: ``root``, else CONVDEBUG_DATA, else the user's data folder."""
        given = self.root or os.environ.get("CONVDEBUG_DATA")
        return Path(given).expanduser() if given else platformdirs.user_data_path("convdebug") / "data"


class ModelConfig(Section):
    """What is trained, and the weights it starts from."""

    name: str = name_of("model.name", "vgg-bn", "Model", "a net of the catalogue, or torchvision:NAME")
    activation: str = name_of("model.activation", "relu", "Activation", "after every hidden layer")
    init: str = name_of("model.init", "default", "Initialization", "of the weights; biases are 0 unless default")
    init_std: Number = setting(
        0.01, "Deviation", "of gaussian initialization", ge=0, extra={"usual": [1e-4, 1.0], "scale": "log"}
    )
    init_constant: Number = setting(0.01, "Constant", "of constant initialization", extra={"usual": [-1.0, 1.0]})
    hidden: Whole = setting(50, "Hidden units", "of every dense hidden layer", ge=1, le=65536, extra={"unit": "units"})
    depth: Whole = setting(10, "Hidden layers", "of ten-layer", ge=1, le=1000, extra={"unit": "layers"})
    width: Number = setting(1.0, "Width", "times as many filters", gt=0, le=64, extra={"usual": [0.25, 4.0]})
    batch_norm: str = one_of(("none", "before", "after"), "none", "Batch norm", "none, before or after the activation")


class OptimizerConfig(Section):
    """How the weights are changed; an optimizer reads the settings that its catalogue entry names."""

    name: str = name_of("optimizer.name", "momentum", "Optimizer", "how gradients become updates")
    lr: Number = setting(
        0.01, "Learning rate", "size of a step along the gradient", ge=0, live=True,
        extra={"usual": [1e-6, 1.0], "scale": "log"},
    )  # fmt: skip
    momentum: Number = setting(0.9, "Momentum", "share of the velocity that is kept", ge=0, lt=1, live=True)
    weight_decay: Number = setting(
        0.0, "Weight decay", "share of each weight taken off by the optimizer, times the rate", ge=0, live=True,
        extra={"usual": [1e-6, 1e-1], "scale": "log"},
    )  # fmt: skip
    beta1: Number = setting(0.9, "β₁", "memory of the mean of gradients (Adam)", ge=0, lt=1)
    beta2: Number = setting(0.999, "β₂", "memory of the mean of squared gradients (Adam)", ge=0, lt=1)
    decay: Number = setting(0.99, "Decay", "memory of squared gradients (RMSprop, Adadelta)", ge=0, lt=1)
    eps: Number = setting(1e-8, "ε", "added to the denominator", ge=0, le=1)


class ScheduleConfig(Section):
    """How the learning rate changes over the run."""

    name: str = name_of("schedule.name", "constant", "Schedule", "how the learning rate changes")
    every: Number = setting(2.0, "Every", "epochs between two drops of step", gt=0, extra={"unit": "epochs"})
    factor: Number = setting(0.5, "Factor", "of one drop of step or plateau", gt=0, le=1)
    k: Number = setting(0.1, "k", "of exponential and one-over-t", ge=0, extra={"unit": "per epoch"})
    warmup: Number = setting(0.1, "Warm-up", "share of the run in which the rate rises", ge=0, lt=1)
    final: Number = setting(0.0, "Final", "share of the rate at which a cosine ends", ge=0, le=1)
    patience: Whole = setting(2, "Patience", "epochs without progress before a drop", ge=0, extra={"unit": "epochs"})


class RegularizationConfig(Section):
    """What keeps the weights small or the units independent."""

    l2: Number = setting(
        0.0,
        "L2",
        "λ of ½·λ·‖W‖² over all weights, added to the loss",
        ge=0,
        extra={"usual": [1e-6, 1e3], "scale": "log"},
    )
    dropout: Number = setting(0.0, "Dropout", "share of hidden units set to zero at each step", ge=0, lt=1)


class TrainConfig(Section):
    """How long, from which seed, on which device."""

    epochs: Whole = setting(5, "Epochs", "passes over the training examples", ge=1, extra={"unit": "epochs"})
    steps: Annotated[Whole | None, Absent] = setting(
        None, "Steps", "optimizer steps; when given, epochs are not looked at", ge=1, extra={"unit": "steps"}
    )
    seed: Whole = setting(0, "Seed", "of weights, order and augmentation", ge=0, le=2**31 - 1)
    amp: bool = setting(False, "Mixed precision", "half-width arithmetic where it is safe")
    device: str = one_of(
        ("auto", "cpu", "cuda", "mps"), "auto", "Device", "auto takes a GPU when there is one", also=r"cuda:\d+"
    )
    clip: Annotated[Number | None, Absent] = setting(None, "Clip", "largest norm of the whole gradient", gt=0)


class WatchConfig(Section):
    """What watching may cost."""

    overhead_budget: Number = setting(
        0.02,
        "Overhead budget",
        "share of a step's time that measuring may take",
        gt=0,
        le=1,
        extra={"usual": [0.01, 0.2]},
    )
    every: Annotated[Whole | None, Absent] = setting(
        None, "Every", "measure at every so many steps whatever it costs; the budget decides when not given", ge=1,
        extra={"unit": "steps"},
    )  # fmt: skip
