"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read by torchvision."""

import torch
from torchvision.datasets import CIFAR10, CIFAR100

from convdebug.catalogue.datasets.files import require
from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.errors import UserError
from convdebug.settings import DataConfig


def cifar10(settings: DataConfig) -> PictureData:
    """50,000 and 10,000 pictures of 32×32 in ten classes."""
    return _load(CIFAR10, "CIFAR-10", settings)


def cifar100(settings: DataConfig) -> PictureData:
    """50,000 and 10,000 pictures of 32×32 in a hundred classes."""
    return _load(CIFAR100, "CIFAR-100", settings)


def _load(kind: type[CIFAR10], title: str, settings: DataConfig) -> PictureData:
    folder = settings.folder()
    require(settings, title, [folder / kind.base_folder], lambda: kind(str(folder), download=True))
    try:
        train, val = (kind(str(folder), train=train) for train in (True, False))
    except (RuntimeError, OSError) as error:
        raise UserError(f"{title} in {folder / kind.base_folder} is incomplete or damaged: {error}") from error
    return PictureData(_pictures(train), _pictures(val), tuple(train.classes))


def _pictures(split: CIFAR10) -> Pictures:
    pixels = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
    return Pictures(pixels, torch.tensor(split.targets))
