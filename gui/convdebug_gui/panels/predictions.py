"""What the network says of a fixed batch of pictures: the three likeliest classes of each, at the playhead."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QColor, QFontMetrics, QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

from convdebug_gui.panels.base import Table
from convdebug_gui.panels.filters import rgb_image
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme
from convdebug_sessions import BlobRef

CELL_WIDTH, CELL_HEIGHT, PICTURE = 190, 52, 44


class PredictionsView(QWidget):
    waits_for = "A few pictures of the data appear here, each with the three classes that the network finds likeliest."

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.top = np.zeros((0, 3, 2))
        self.names: Sequence[str] = ()
        self._pictures: list[QImage] = []

    def _batch(self) -> BlobRef | None:
        return next(iter(self.model.facts.blobs("fixed-batch")), None)

    def _blob(self) -> BlobRef | None:
        found = self.model.facts.blob("predictions", self.model.step)
        return found or next(iter(self.model.facts.blobs("predictions")), None)

    def ready(self) -> bool:
        return self._blob() is not None

    def data_key(self) -> Hashable:
        batch = self._batch()
        return batch.id if batch is not None else None

    def head_key(self) -> Hashable:
        blob = self._blob()
        return blob.id if blob is not None else None

    def detail(self) -> str:
        known = min(len(self.names), len(self.top))
        if not known:
            return ""
        right = sum(self._class_name(row[0][0]) == name for row, name in zip(self.top, self.names, strict=False))
        return f"{right} of {known} right"

    def draw_data(self) -> None:
        batch = self._batch()
        self.names = batch.names if batch is not None else ()
        pixels = self.model.facts.array(batch) if batch is not None else np.zeros((0, 1, 1, 3), np.uint8)
        self._pictures = [rgb_image(picture) for picture in pixels]

    def draw_head(self) -> None:
        blob = self._blob()
        assert blob is not None
        self.top = self.model.facts.array(blob)
        self.update()

    def _class_name(self, index: float) -> str:
        names = (self.model.facts.info.get("data") or {}).get("class_names") or ()
        return str(names[int(index)]) if np.isfinite(index) and 0 <= int(index) < len(names) else f"{index:g}"

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setFont(theme().font("caption"))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        width, height = theme().pixels(CELL_WIDTH), theme().pixels(CELL_HEIGHT)
        across = max(int((self.width() - 16) // width), 1)
        width = (self.width() - 16) // across
        for index in range(len(self.top)):
            row, column = divmod(index, across)
            cell = QRectF(12 + column * width, 4 + row * height, width - 12, height)
            if cell.bottom() <= self.height():
                self._paint_cell(painter, index, cell)
        painter.end()

    def _paint_cell(self, painter: QPainter, index: int, cell: QRectF) -> None:
        side = theme().pixels(PICTURE)
        if index < len(self._pictures):
            painter.drawImage(QRectF(cell.left(), cell.top(), side, side), self._pictures[index])
        left = cell.left() + side + 8
        line = side / 3
        for place, (label, probability) in enumerate(self.top[index].tolist()):
            box = QRectF(left, cell.top() + place * line, cell.right() - left, line)
            self._paint_bar(painter, box, index, place, label, probability)

    def _paint_bar(
        self, painter: QPainter, box: QRectF, index: int, place: int, label: float, probability: float
    ) -> None:
        tokens, name = theme().tokens, self._class_name(label)
        right = index < len(self.names) and name == self.names[index]
        metrics = QFontMetrics(painter.font())
        words = metrics.elidedText(name, Qt.TextElideMode.ElideRight, theme().pixels(60))
        painter.setPen(QColor(tokens.ink if place == 0 else tokens.dim))
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, words)
        bar = box.adjusted(theme().pixels(64), 4, 0, -4)
        painter.fillRect(bar, QColor(tokens.line))
        if np.isfinite(probability):
            color = tokens.good if right else (tokens.error if place == 0 else tokens.faint)
            bar.setWidth(max(bar.width() * min(max(probability, 0.0), 1.0), 1.0))
            painter.fillRect(bar, QColor(color))

    def table(self) -> Table:
        columns: Table = [("truth", np.array(list(self.names)))]
        for place in range(3):
            columns.append((f"class {place + 1}", np.array([self._class_name(row[place][0]) for row in self.top])))
            columns.append((f"probability {place + 1}", self.top[:, place, 1]))
        return columns
