"""The list of the wizard's pages down its left side, each with its mark; up and down walk through it."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QVBoxLayout, QWidget

from convdebug_gui.theme import mix, theme
from convdebug_gui.wizard.marks import paint_mark
from convdebug_gui.wizard.verdicts import WORDS, CheckState


class PageRow(QAbstractButton):
    """One page of the wizard: its mark, its title, a few words at the right."""

    def __init__(self, id: str, title: str) -> None:
        super().__init__()
        self.id, self._title = id, title
        self.status = ""
        self.share: float | None = None
        self._note = ""
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        self.setToolTip(title)

    def show_state(self, status: str, share: float | None = None, note: str = "") -> None:
        if (status, share, note) == (self.status, self.share, self._note):
            return
        self.status, self.share, self._note = status, share, note
        words = WORDS.get(status, "")
        self.setAccessibleName(f"{self._title}: {words}" if words else self._title)
        self.setToolTip(f"{self._title}: {words}" if words else self._title)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme().pixels(220), theme().pixels(32))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            event.ignore()  # the list walks; the button group would only move the focus
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        tokens, pixels = theme().tokens, theme().pixels
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 1.5, -0.5, -1.5)
        if self.isChecked() or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            chosen = mix(tokens.panel, tokens.accent, 0.14)
            painter.setBrush(QColor(chosen if self.isChecked() else mix(tokens.panel, tokens.ink, 0.06)))
            painter.drawRoundedRect(box, 5, 5)
        if self.hasFocus():
            painter.setPen(QColor(tokens.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 5, 5)
        left = box.left() + pixels(10)
        if self.status:
            side = pixels(16)
            paint_mark(painter, QRectF(left, box.center().y() - side / 2, side, side), self.status, self.share)
        self._write(painter, box.adjusted(pixels(36), 0, -pixels(10), 0))
        painter.end()

    def _write(self, painter: QPainter, box: QRectF) -> None:
        tokens = theme().tokens
        small = theme().font("small-number")
        room = QFontMetrics(small).horizontalAdvance(self._note) + (8 if self._note else 0)
        painter.setFont(theme().font("text"))
        waiting = self.status in ("pending", "waiting", "skip")
        painter.setPen(QColor(tokens.dim if waiting and not self.isChecked() else tokens.ink))
        title = painter.fontMetrics().elidedText(self._title, Qt.TextElideMode.ElideRight, int(box.width() - room))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        painter.setFont(small)
        painter.setPen(QColor(tokens.dim))
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self._note)


class CheckList(QWidget):
    """All pages in order, one of them in view."""

    chosen = pyqtSignal(str)

    def __init__(self, pages: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.rows: dict[str, PageRow] = {}
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._clicked)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        for id, title in pages:
            self._add(id, title)

    def _add(self, id: str, title: str) -> None:
        self.rows[id] = row = PageRow(id, title)
        self._group.addButton(row)
        self._layout.addWidget(row)

    def choose(self, id: str) -> None:
        """Mark a page as the one in view."""
        self.rows[id].setChecked(True)

    def show_states(self, found: dict[str, CheckState]) -> None:
        for id, state in found.items():
            share = state.done / state.total if state.total else None
            seconds = state.result.get("seconds")
            self.rows[id].show_state(state.status, share, f"{seconds:.1f} s" if isinstance(seconds, float) else "")

    def _clicked(self, row: QAbstractButton) -> None:
        if isinstance(row, PageRow):
            self.chosen.emit(row.id)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key())) if event is not None else None
        if step is None:
            super().keyPressEvent(event)
            return
        ids = list(self.rows)
        now = next((index for index, id in enumerate(ids) if self.rows[id].isChecked()), 0)
        id = ids[max(0, min(len(ids) - 1, now + step))]
        self.rows[id].setFocus()
        self.chosen.emit(id)
