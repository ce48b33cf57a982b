"""Unit Gaussian vectors with labels that a random straight rule gives: the lecture's input for its ten-layer nets."""

import torch

from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.settings import DataConfig

CLASSES = 10


def gaussian(settings: DataConfig) -> PictureData:
    """1000 and 200 vectors of 500 numbers from N(0, 1); the label is the largest of ten fixed random projections."""
    generator = torch.Generator().manual_seed(1000)
    vectors = torch.randn(1200, 500, generator=generator)
    labels = (vectors @ torch.randn(500, CLASSES, generator=generator)).argmax(1)
    return PictureData(
        Pictures(vectors[:1000], labels[:1000]),
        Pictures(vectors[1000:], labels[1000:]),
        tuple(f"direction {number}" for number in range(CLASSES)),
    )
