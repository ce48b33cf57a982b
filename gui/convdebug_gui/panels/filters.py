"""The filters of a layer that looks at pictures, as small pictures themselves."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QEvent, QPoint, QRect
from PyQt6.QtGui import QColor, QHelpEvent, QImage, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QToolTip, QWidget

from convdebug_gui.panels.base import Table
from convdebug_gui.plot_items import VIRIDIS
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import mix, theme
from convdebug_gui.ticks import short_number
from convdebug_sessions import BlobRef

LARGEST_TILE, SMALLEST_TILE = 88, 10


class FiltersView(QWidget):
    waits_for = (
        "The filters of the first layer appear here as small pictures. "
        "Healthy ones grow smooth: edges and colours; noise means that they learn little."
    )

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.filters = np.zeros((0, 3, 1, 1), np.float32)
        self._images: list[QImage | None] = []  # none stands for a filter with numbers that are not finite
        self._tiles: list[QRect] = []

    def _blob(self) -> BlobRef | None:
        """Those of the picked layer if it has any, else of the first layer."""
        facts, step = self.model.facts, self.model.step
        names = list(dict.fromkeys(ref.name for ref in facts.blobs("filters")))
        if not names:
            return None
        picked = next((name for name in names if self.model.picked and name.startswith(self.model.picked)), names[0])
        first = next(ref for ref in facts.blobs("filters") if ref.name == picked)
        return facts.blob("filters", step, picked) or first

    def ready(self) -> bool:
        return self._blob() is not None

    def data_key(self) -> Hashable:
        return None

    def head_key(self) -> Hashable:
        blob = self._blob()
        return blob.id if blob is not None else None

    def detail(self) -> str:
        blob = self._blob()
        if blob is None:
            return ""
        bad = self._bad_count()
        return f"{bad}/{len(self.filters)} not finite" if bad else blob.name.removesuffix(".weight")

    def _bad_count(self) -> int:
        return sum(not np.isfinite(entry).all() for entry in self.filters)

    def draw_data(self) -> None:
        self.update()

    def draw_head(self) -> None:
        blob = self._blob()
        assert blob is not None
        self.filters = self.model.facts.array(blob)
        self._images = [tile_image(entry) if np.isfinite(entry).all() else None for entry in self.filters]
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        self._tiles = tiles(len(self._images), self.rect().adjusted(12, 4, -12, -10))
        for image, tile in zip(self._images, self._tiles, strict=True):
            if image is None:
                paint_bad(painter, tile)
            else:
                painter.drawImage(tile, image)
        painter.end()

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            self._show_tip(event.pos(), event.globalPos())
            return True
        return super().event(event)

    def _show_tip(self, at: QPoint, globally: QPoint) -> None:
        index = next((index for index, tile in enumerate(self._tiles) if tile.contains(at)), None)
        if index is None:
            QToolTip.hideText()
            return
        values = self.filters[index]
        if not np.isfinite(values).all():
            QToolTip.showText(globally, f"filter {index}\n{bad_words(values)}", self)
            return
        span = f"{short_number(float(values.min()))} … {short_number(float(values.max()))}"
        norm = short_number(float(np.linalg.norm(values)))
        QToolTip.showText(globally, f"filter {index}\nnorm {norm}, values {span}", self)

    def table(self) -> Table:
        return [(f"filter {index}", entry.ravel()) for index, entry in enumerate(self.filters)]


def bad_words(values: np.ndarray) -> str:
    """How many numbers of a filter are NaN or infinite."""
    return f"{int((~np.isfinite(values)).sum())} of {values.size} weights are not finite"


def tile_image(values: np.ndarray) -> QImage:
    """A finite filter (C, H, W): colours for three channels, grey for one, viridis of the mean for more."""
    exact = values.astype(np.float64)
    shares = 0.5 + 0.5 * exact / max(float(np.abs(exact).max()), 1e-12)
    if len(shares) == 3:
        pixels = np.moveaxis(shares, 0, -1) * 255
    elif len(shares) == 1:
        pixels = np.repeat(shares[0][..., None], 3, axis=-1) * 255
    else:
        pixels = VIRIDIS[np.clip(shares.mean(axis=0) * 255, 0, 255).astype(np.uint8)].astype(np.float64)
    return rgb_image(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def paint_bad(painter: QPainter, tile: QRect) -> None:
    """A filter that has numbers which are not finite: a softly red square with a stroke through it."""
    tokens, inset = theme().tokens, tile.width() // 4
    painter.fillRect(tile, QColor(mix(tokens.panel, tokens.error, 0.2)))
    inner = tile.adjusted(inset, inset, -inset, -inset)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(tokens.error), 1.5))
    painter.drawLine(inner.bottomLeft(), inner.topRight())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def rgb_image(pixels: np.ndarray) -> QImage:
    """A picture (H, W, 3) of bytes; one channel (H, W, 1) becomes grey."""
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels[..., :3])
    return QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def tiles(count: int, area: QRect) -> list[QRect]:
    """Places for `count` squares, as large as fits, in rows from the top left."""
    if not count:
        return []
    gap = theme().pixels(5)
    side = _side(count, area, gap)
    across = max((area.width() + gap) // (side + gap), 1)
    left, top = area.left(), area.top()
    places = [divmod(index, across) for index in range(count)]
    return [QRect(left + column * (side + gap), top + row * (side + gap), side, side) for row, column in places]


def _side(count: int, area: QRect, gap: int) -> int:
    for side in range(theme().pixels(LARGEST_TILE), SMALLEST_TILE, -1):
        across = (area.width() + gap) // (side + gap)
        if across and math.ceil(count / across) * (side + gap) - gap <= area.height():
            return side
    return SMALLEST_TILE
