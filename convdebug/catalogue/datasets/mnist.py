"""MNIST and Fashion-MNIST: idx files, gzipped or not, where torchvision puts them."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import MNIST, FashionMNIST

from convdebug.catalogue.datasets.files import require
from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.errors import UserError
from convdebug.settings import DataConfig


def mnist(settings: DataConfig) -> PictureData:
    """60,000 and 10,000 handwritten digits of 28×28 grey pixels."""
    return _load(MNIST, "MNIST", settings, tuple("0123456789"))


def fashion_mnist(settings: DataConfig) -> PictureData:
    """60,000 and 10,000 pieces of clothing of 28×28 grey pixels."""
    return _load(FashionMNIST, "Fashion-MNIST", settings, tuple(FashionMNIST.classes))


def _load(kind: type[MNIST], title: str, settings: DataConfig, names: tuple[str, ...]) -> PictureData:
    root = settings.folder()
    folder = root / kind.__name__ / "raw"
    require(settings, title, [folder], lambda: kind(str(root), download=True))
    return PictureData(_split(folder, title, "train"), _split(folder, title, "t10k"), names)


def _split(folder: Path, title: str, split: str) -> Pictures:
    pixels = read_idx(folder, title, f"{split}-images-idx3-ubyte")
    labels = read_idx(folder, title, f"{split}-labels-idx1-ubyte")
    if len(pixels) != len(labels):
        raise UserError(f"{title} in {folder} is damaged: {len(pixels)} pictures and {len(labels)} labels of {split}")
    return Pictures(torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


def read_idx(folder: Path, title: str, name: str) -> np.ndarray:
    """One idx file of bytes, as it is or gzipped: the type, the number of axes and their lengths, then the values."""
    data = _bytes(folder, title, name)
    axes = data[3] if len(data) > 3 else 0
    shape = np.frombuffer(data, ">i4", axes, 4) if len(data) >= 4 + 4 * axes else np.zeros(0, ">i4")
    if data[:3] != b"\x00\x00\x08" or len(data) != 4 + 4 * axes + shape.prod(dtype=np.int64):
        raise UserError(f"{title}: {folder / name} is damaged: not a whole idx file")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def _bytes(folder: Path, title: str, name: str) -> bytes:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        return plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise UserError(f"no {title}: neither {name} nor {name}.gz is in {folder}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{title}: {packed} cannot be read: {error}") from None
