"""The cards of the welcome page: what one can do, and the sessions there are, painted whole and used as buttons."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QEnterEvent, QFontMetrics, QIcon, QPainter, QPainterPath, QPaintEvent, QPen
from PyQt6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from convdebug_gui.reading import count
from convdebug_gui.small_curve import paint_small_curve
from convdebug_gui.theme import mix, theme
from convdebug_sessions import Summary

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
VERDICTS = {"error": "ill", "warning": "warnings", "info": "notes", None: "healthy"}


class Card(QAbstractButton):
    """A button as a card: quiet, an edge that answers to the pointer and to the keyboard."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.updateGeometry()  # a method of our own: Qt's would be called after the widget's end

    def enterEvent(self, event: QEnterEvent | None) -> None:
        super().enterEvent(event)
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        shape = QPainterPath()
        shape.addRoundedRect(box, 6, 6)
        painter.fillPath(shape, QColor(self._ground()))
        painter.save()
        painter.setClipPath(shape)
        self.paint_content(painter, box)
        painter.restore()
        painter.setPen(QPen(QColor(self._edge()), 1))
        painter.drawPath(shape)
        painter.end()

    def _ground(self) -> str:
        tokens = theme().tokens
        return mix(tokens.panel, tokens.ink, 0.08 if self.isDown() else 0.03 if self.underMouse() else 0.0)

    def _edge(self) -> str:
        tokens = theme().tokens
        if self.hasFocus():
            return tokens.accent
        return mix(tokens.line, tokens.ink, 0.16) if self.underMouse() else tokens.line

    def paint_content(self, painter: QPainter, box: QRectF) -> None:
        raise NotImplementedError

    def write(
        self, painter: QPainter, box: QRectF, text: str, role: str, color: str, how: Qt.AlignmentFlag = LEFT
    ) -> None:
        """One line of text, shortened where it does not fit."""
        font = theme().font(role, bold=role == "title")
        painter.setFont(font)
        painter.setPen(QColor(color))
        painter.drawText(box, how, QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, int(box.width())))


class ActionCard(Card):
    """Something one can do from the welcome page: icon, title, one sentence, key."""

    def __init__(self, icon: str, title: str, words: str, key: str, primary: bool = False) -> None:
        super().__init__(f"{title}: {words}")
        self._icon_name, self._title, self._words, self._key, self._primary = icon, title, words, key, primary
        self._icon: QIcon | None = None
        self.setToolTip(f"{title} ({key})")
        self.setShortcut(key)

    def show_icon(self) -> None:
        """Load the icon; later than the first frame, the icon font takes its time."""
        self._icon = theme().icon(self._icon_name, "on_accent" if self._primary else "accent")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme().pixels(220), theme().pixels(124))

    def paint_content(self, painter: QPainter, box: QRectF) -> None:
        tokens, pixels = theme().tokens, theme().pixels
        side, margin = pixels(36), pixels(16)
        badge = QRectF(box.left() + margin, box.top() + margin, side, side)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.accent if self._primary else mix(tokens.panel, tokens.accent, 0.14)))
        painter.drawRoundedRect(badge, 7, 7)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self._icon is not None:
            inset = pixels(8)
            self._icon.paint(painter, badge.adjusted(inset, inset, -inset, -inset).toRect())
        line = QRectF(box.left() + margin, badge.bottom() + pixels(10), box.width() - 2 * margin, pixels(20))
        self.write(painter, line, self._title, "title", tokens.ink)
        self.write(painter, line.translated(0, pixels(21)), self._words, "text", tokens.dim)
        corner = QRectF(box.left() + margin, badge.top(), box.width() - 2 * margin, pixels(16))
        self.write(painter, corner, self._key, "small-number", tokens.dim, RIGHT)


class SessionCard(Card):
    """One session: its loss curve, how ill it is, how far it came and when."""

    def __init__(self, summary: Summary) -> None:
        super().__init__(described(summary))
        self.summary = summary
        self.setToolTip(str(summary.path))

    def sizeHint(self) -> QSize:
        return QSize(theme().pixels(220), theme().pixels(116))

    def paint_content(self, painter: QPainter, box: QRectF) -> None:
        tokens, pixels, summary = theme().tokens, theme().pixels, self.summary
        color = tokens.dim if summary.problem else severity_color(summary.severity)
        painter.fillRect(QRectF(box.left(), box.top(), 3, box.height()), QColor(color))
        margin, row = pixels(16), pixels(20)
        inner = box.adjusted(margin, pixels(10), -margin, -pixels(10))
        top = QRectF(inner.left(), inner.top(), inner.width(), row)
        age = age_in_words(time.time() - summary.modified)
        room = QFontMetrics(theme().font("caption")).horizontalAdvance(age) + pixels(12)
        self.write(painter, top.adjusted(0, 0, -room, 0), short_name(summary.path), "title", tokens.ink)
        self.write(painter, top, age, "caption", tokens.dim, RIGHT)
        bottom = QRectF(inner.left(), inner.bottom() - row, inner.width(), row)
        if summary.problem:
            self._write_problem(painter, inner, row)
            return
        curve = QRectF(inner.left(), top.bottom() + 6, inner.width(), bottom.top() - top.bottom() - 12)
        paint_small_curve(painter, curve, summary.curve, tokens.accent)
        ink = tokens.readable(color)
        taken = QFontMetrics(theme().font("caption")).horizontalAdvance(verdict(summary)) + pixels(8)
        self.write(painter, bottom, verdict(summary), "caption", ink)
        left = bottom.width() - taken
        metrics = QFontMetrics(theme().font("small-number"))
        figures = next((words for words in numbers(summary) if metrics.horizontalAdvance(words) <= left), "")
        self.write(painter, bottom.adjusted(taken, 0, 0, 0), figures, "small-number", tokens.dim, RIGHT)

    def _write_problem(self, painter: QPainter, inner: QRectF, row: float) -> None:
        painter.setFont(theme().font("caption"))
        painter.setPen(QColor(theme().tokens.dim))
        words = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignTop
        painter.drawText(inner.adjusted(0, row + 4, 0, 0), int(words), str(self.summary.problem))


def short_name(path: Path | str) -> str:
    """A session's name without the hour that the window gave it: the age stands beside it."""
    return re.sub(r"-\d{4}-\d{6}(?=(-\d+)?$)", "", Path(path).stem)


def severity_color(severity: str | None) -> str:
    """The colour of a session's worst diagnosis; good where there is none."""
    tokens = theme().tokens
    return tokens.good if severity in (None, "info") else tokens.severity(severity)


def verdict(summary: Summary) -> str:
    """How a session stands in a word or two."""
    word = VERDICTS.get(summary.severity, "healthy")
    plain = {"running": "running", "killed": "killed", "crashed": "crashed"}.get(summary.status or "")
    return f"{plain} · {word}" if plain else word


def numbers(summary: Summary) -> list[str]:
    """How far a session came, from the longest words to the shortest: its steps and its last loss."""
    steps = f"{count(summary.steps)} steps"
    if summary.final_loss is None:
        return [steps]
    loss = f"{summary.final_loss:.3g}" if math.isfinite(summary.final_loss) else str(summary.final_loss)
    return [f"{steps} · {loss}", steps]


def described(summary: Summary) -> str:
    """A session in one sentence, for ears."""
    name = Path(summary.path).stem
    return f"{name}: {summary.problem}" if summary.problem else f"{name}: {verdict(summary)}, {numbers(summary)[0]}"


def age_in_words(seconds: float) -> str:
    """How long ago, short: now, 5 min, 3 h, 2 days, 4 weeks."""
    for unit, name in ((604800.0, "week"), (86400.0, "day"), (3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 and name in ('day', 'week') else ''} ago"
    return "just now"
