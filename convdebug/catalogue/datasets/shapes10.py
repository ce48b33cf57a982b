"""shapes10, the embedded default: ten classes of shapes and textures of 32×32 RGB, made by a seeded generator."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from convdebug.catalogue.datasets.pictures import PictureData, Pictures
from convdebug.settings import DataConfig

SIDE = 32
TRAIN, VAL = 10_000, 2_000
CHUNK = 250
"""Pictures drawn at once; small enough to stay in the cache of one core."""

Array = np.ndarray


def _disc(u: Array, v: Array) -> Array:
    return np.hypot(u, v) - 0.9


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.hypot(u, v) - 0.75) - 0.2


def _square(u: Array, v: Array) -> Array:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _frame(u: Array, v: Array) -> Array:
    return np.abs(np.maximum(np.abs(u), np.abs(v)) - 0.7) - 0.18


def _triangle(u: Array, v: Array) -> Array:
    return np.maximum(v - 0.6, np.abs(u) * 0.87 - v * 0.5 - 0.5)


def _cross(u: Array, v: Array) -> Array:
    a, b = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(a, b) - 0.25, np.maximum(a, b) - 0.95)


def _patch(u: Array, v: Array, wave: Array) -> Array:
    """The part of a texture that lies inside a round patch."""
    return np.maximum(wave, np.hypot(u, v) - 1.1)


def _bars(u: Array, v: Array) -> Array:
    return _patch(u, v, np.sin(8 * v) * 0.12)


def _columns(u: Array, v: Array) -> Array:
    return _patch(u, v, np.sin(8 * u) * 0.12)


def _checks(u: Array, v: Array) -> Array:
    return _patch(u, v, np.sin(6 * u) * np.sin(6 * v) * 0.3)


def _dots(u: Array, v: Array) -> Array:
    return _patch(u, v, 0.1 - 0.2 * np.cos(8 * u) * np.cos(8 * v))


CLASSES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "cross": _cross,
    "bars": _bars,
    "columns": _columns,
    "checks": _checks,
    "dots": _dots,
}
"""Each class by its field over the picture's own axes: below zero inside, about the distance from the edge outside."""


def shapes10(settings: DataConfig) -> PictureData:
    """10,000 and 2,000 pictures; always the same, and the first ones the same whatever the limit."""
    wanted = TRAIN if settings.holdout else min(settings.limit or TRAIN, TRAIN)
    return PictureData(_pictures(wanted, 0), _pictures(min(settings.val_limit or VAL, VAL), 1), tuple(CLASSES))


def _pictures(count: int, seed: int) -> Pictures:
    pixels, labels = draw(count, seed)
    return Pictures(torch.from_numpy(pixels), torch.from_numpy(labels))


def draw(count: int, seed: int) -> tuple[Array, Array]:
    """``count`` pictures, uint8 (N, 3, 32, 32), and labels, int64 (N,), every class about as often as the others."""
    chunks = -(-count // CHUNK)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        drawn = list(threads.map(_draw_chunk, [(seed, number) for number in range(chunks)]))
    pixels, labels = (np.concatenate(parts)[:count] for parts in zip(*drawn, strict=True))
    return pixels, labels


def _draw_chunk(seed: tuple[int, int]) -> tuple[Array, Array]:
    """Chunks have random states of their own, so that they can be drawn in any order and number."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(CHUNK) % len(CLASSES)).astype(np.int64)
    return _draw(labels, random), labels


def _draw(labels: Array, random: np.random.Generator) -> Array:
    count = len(labels)
    ground = _between(random, 50, 190, (count, 3))
    colour = ground + _contrast(random, count)
    canvas = ground[:, :, None, None] + _slope(random, count)
    canvas = _clutter(canvas, random)
    canvas += _coverage(labels, random)[:, None] * (colour[:, :, None, None] - canvas)
    canvas += random.standard_normal(canvas.shape, np.float32) * 20
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _between(random: np.random.Generator, low: float, high: float, shape: tuple[int, ...] | int) -> Array:
    return (low + (high - low) * random.random(shape, np.float32)).astype(np.float32)


def _contrast(random: np.random.Generator, count: int) -> Array:
    """How the object's colour differs from the ground's, (N, 3): lighter more often than darker."""
    sign = np.where(random.random(count) < 0.85, 1, -1)[:, None]
    return (sign * _between(random, 30, 90, (count, 3))).astype(np.float32)


def _slope(random: np.random.Generator, count: int) -> Array:
    """Light that falls from one side, (N, 1, 32, 32)."""
    axis = np.linspace(-1, 1, SIDE, dtype=np.float32)
    down, right = _between(random, -25, 25, (2, count, 1, 1, 1))
    return down * axis[:, None] + right * axis


def _clutter(canvas: Array, random: np.random.Generator, pieces: int = 3) -> Array:
    """Small boxes of any colour at any place."""
    count = len(canvas)
    axis = np.arange(SIDE, dtype=np.float32)
    for _ in range(pieces):
        row, column = _between(random, 0, SIDE, (2, count, 1))
        tall, wide = _between(random, 1, 3.5, (2, count, 1))
        box = (np.abs(axis - row) < tall)[:, None, :, None] & (np.abs(axis - column) < wide)[:, None, None, :]
        canvas = np.where(box, _between(random, 30, 225, (count, 3, 1, 1)), canvas)
    return canvas


def _coverage(labels: Array, random: np.random.Generator) -> Array:
    """How much of each pixel the object covers, 0 to 1, (N, 32, 32)."""
    count = len(labels)
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    down, right = _between(random, -7.5, 7.5, (2, count, 1, 1))
    size = _between(random, 6.5, 12, (count, 1, 1))
    turn = _between(random, -0.3, 0.3, (count, 1, 1))
    y, x = (axis[:, None] - down) / size, (axis - right) / size
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    field = np.empty_like(u)
    for label, shape in enumerate(CLASSES.values()):
        chosen = labels == label
        field[chosen] = shape(u[chosen], v[chosen])
    return np.clip(0.5 - field * size, 0, 1)
