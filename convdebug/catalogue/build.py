"""From a RunConfig to its parts: data, model, optimizer, schedule."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from convdebug.catalogue import entry_of
from convdebug.catalogue.datasets.pictures import PictureData, PictureDataset
from convdebug.catalogue.models.parts import Recipe
from convdebug.catalogue.schedules import Length
from convdebug.config import RunConfig
from convdebug.settings import DataConfig, OptimizerConfig


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
    load = entry_of("data.name", settings.name).load()
    data: PictureData = load(settings)
    return data.limited(settings)


def splits(settings: DataConfig) -> Splits:
    """Both splits, with preprocessing from the statistics of the training split alone."""
    data = picture_data(settings)
    preprocess = entry_of("data.preprocessing", settings.preprocessing).load()(data.train.pixels)
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
    inputs, _ = data.train.__getitems__(range(min(count, len(data.train))))
    return inputs


def optimizer(parameters: Iterable[Parameter], settings: OptimizerConfig) -> Optimizer:
    """The optimizer that the settings name."""
    return entry_of("optimizer.name", settings.name).load()(parameters, settings)


def scheduler(config: RunConfig, steps_per_epoch: int) -> Callable[[Optimizer], object]:
    """From an optimizer to the scheduler that the config names, or None for a constant rate."""
    steps = config.train.steps or config.train.epochs * steps_per_epoch
    make = entry_of("schedule.name", config.schedule.name).load()
    return lambda optimizer: make(optimizer, config.schedule, Length(steps, steps_per_epoch))
