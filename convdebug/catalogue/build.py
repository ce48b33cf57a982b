"""From a RunConfig to its parts: data, model, optimizer, schedule."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from convdebug.catalogue import entry_of
from convdebug.catalogue.datasets.pictures import PictureData, PictureDataset, Preprocess
from convdebug.catalogue.models.parts import Recipe
from convdebug.catalogue.schedules import Length
from convdebug.config import RunConfig
from convdebug.settings import DataConfig, OptimizerConfig

NOT_ABOUT_PICTURES = ("batch_size", "preprocessing", "augmentation", "shuffle", "workers")


@dataclass(frozen=True)
class Splits:
    """Both splits as the network sees them; validation pictures are never augmented."""

    train: PictureDataset
    val: PictureDataset

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, (C, H, W) or (D,)."""
        return tuple(self.train.pictures.pixels.shape[1:])


def picture_data(settings: DataConfig) -> PictureData:
    """The pictures that the settings name, after ``holdout`` and the limits."""
    return _picture_data(_about_pictures(settings))


def _about_pictures(settings: DataConfig) -> DataConfig:
    """The settings with all that does not choose pictures at its default: one cache key for the same pictures."""
    usual = {key: DataConfig.model_fields[key].default for key in NOT_ABOUT_PICTURES}
    return settings.model_copy(update={**usual, "root": str(settings.folder())})


@functools.lru_cache(maxsize=2)
def _picture_data(settings: DataConfig) -> PictureData:
    data: PictureData = entry_of("data.name", settings.name).load()(settings)
    return data.limited(settings)


@functools.lru_cache(maxsize=4)
def _preprocess(settings: DataConfig, name: str) -> Preprocess:
    fit: Callable[[Tensor], Preprocess] = entry_of("data.preprocessing", name).load()
    return fit(_picture_data(settings).train.pixels)


def splits(settings: DataConfig) -> Splits:
    """Both splits, with preprocessing from the statistics of the training split alone."""
    about_pictures = _about_pictures(settings)
    data = _picture_data(about_pictures)
    preprocess = _preprocess(about_pictures, settings.preprocessing)
    augment = entry_of("data.augmentation", settings.augmentation).load() if settings.augmentation != "none" else None
    return Splits(
        PictureDataset(data.train, data.class_names, preprocess, augment),
        PictureDataset(data.val, data.class_names, preprocess),
    )


def model(config: RunConfig, data: Splits) -> nn.Module:
    """A fresh model with its initialization; draws from torch's random state."""
    recipe = Recipe(data.input_shape, len(data.train.classes), config.model, config.regularization.dropout)
    net: nn.Module = entry_of("model.name", config.model.name).load()(recipe)
    initialize = entry_of("model.init", config.model.init).load()
    initialize(net, config.model, lambda: _sample(data))
    return net


def _sample(data: Splits, count: int = 256) -> Tensor:
    inputs, _ = data.train.plain().__getitems__(range(min(count, len(data.train))))
    return inputs


def optimizer(parameters: Iterable[Parameter], settings: OptimizerConfig) -> Optimizer:
    """The optimizer that the settings name."""
    return entry_of("optimizer.name", settings.name).load()(parameters, settings)


def scheduler(optimizer: Optimizer, config: RunConfig, steps_per_epoch: int, steps: int | None = None) -> Any:
    """The scheduler that the config names for a run of ``steps``; None for a constant rate."""
    planned = steps or config.train.steps or config.train.epochs * steps_per_epoch
    make = entry_of("schedule.name", config.schedule.name).load()
    return make(optimizer, config.schedule, Length(planned, steps_per_epoch))
