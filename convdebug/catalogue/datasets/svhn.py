"""SVHN, house numbers (Netzer et al. 2011), read by torchvision, which needs scipy for the .mat files."""

import importlib.util

import torch
from torchvision.datasets import SVHN

from convdebug.catalogue.datasets.files import require
from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.errors import UserError
from convdebug.settings import DataConfig


def svhn(settings: DataConfig) -> PictureData:
    """73,257 and 26,032 pictures of 32×32 RGB in ten classes, the digit in the middle."""
    if importlib.util.find_spec("scipy") is None:
        raise UserError("SVHN is kept in .mat files, which scipy reads; install it with: pip install scipy")
    folder = settings.folder()
    require(settings, "SVHN", [folder / "train_32x32.mat"], lambda: _split(settings, "train", True))
    try:
        train, val = (_split(settings, name, settings.download) for name in ("train", "test"))
    except (RuntimeError, OSError) as error:
        raise UserError(f"SVHN in {folder} is incomplete or damaged: {error}") from error
    return PictureData(train, val, tuple("0123456789"))


def _split(settings: DataConfig, name: str, download: bool) -> Pictures:
    split = SVHN(str(settings.folder()), split=name, download=download)
    return Pictures(torch.from_numpy(split.data), torch.from_numpy(split.labels).long())
