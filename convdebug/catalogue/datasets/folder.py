"""Any folder of pictures with one sub-folder a class, or with ``train`` and ``val`` that hold those."""

from pathlib import Path

import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.errors import UserError
from convdebug.settings import DataConfig

VAL_NAMES = ("val", "valid", "validation", "test")
EVERY = 5
"""Without a validation folder every fifth picture is held out."""


def folder(settings: DataConfig) -> PictureData:
    """RGB pictures brought to ``picture_size`` squares: the shorter side scaled, the middle cut out."""
    root = settings.folder()
    if not root.is_dir():
        raise UserError(
            f"no pictures: the folder {root} does not exist; set data.root to one with a sub-folder a class"
        )
    val = next((root / name for name in VAL_NAMES if (root / name).is_dir()), None)
    if val is None or not (root / "train").is_dir():
        return _held_out(*_read(root, settings.picture_size))
    pictures, names = _read(root / "train", settings.picture_size)
    val_pictures, val_names = _read(val, settings.picture_size)
    if names != val_names:
        raise UserError(f"{root / 'train'} has the classes {', '.join(names)}, {val} has {', '.join(val_names)}")
    return PictureData(pictures, val_pictures, names)


def _read(place: Path, size: int) -> tuple[Pictures, tuple[str, ...]]:
    shape = v2.Compose([v2.PILToTensor(), v2.Resize(size, antialias=True), v2.CenterCrop(size)])
    try:
        found = ImageFolder(str(place), transform=shape)
        pixels = torch.stack([picture for picture, _ in found])
    except (FileNotFoundError, OSError) as error:
        raise UserError(f"no pictures in {place}: {str(error).splitlines()[0]}") from error
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return Pictures(pixels[order], torch.tensor(found.targets)[order]), tuple(found.classes)


def _held_out(pictures: Pictures, names: tuple[str, ...]) -> PictureData:
    held = torch.arange(len(pictures)) % EVERY == EVERY - 1
    train, val = (Pictures(pictures.pixels[chosen], pictures.labels[chosen]) for chosen in (~held, held))
    return PictureData(train, val, names)
