"""Small controls shared by panels and bars: icon buttons, switches, legends, elided labels."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QResizeEvent
from PyQt6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from convdebug_gui.theme import theme


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A label in one of the roles of the style sheet: title, section, caption, dim, number, …"""
    result = QLabel()
    result.setTextFormat(Qt.TextFormat.PlainText)  # an error such as <class 'int'> is no markup
    result.setText(text)
    result.setProperty("role", role)
    result.setWordWrap(wrap)
    return result


def button(text: str, role: str = "", tip: str = "") -> QPushButton:
    """A text button: primary, outline, quiet, small, small-outline, link, danger, or plain."""
    result = QPushButton(text)
    result.setProperty("role", role)
    result.setToolTip(tip)
    result.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return result


def rule(*, vertical: bool = False) -> QFrame:
    """A line of one pixel."""
    result = QFrame()
    result.setProperty("role", "vertical-rule" if vertical else "rule")
    return result


def restyle(widget: QWidget, role: str) -> None:
    """Gives a widget another role of the style sheet."""
    if widget.property("role") == role:
        return
    widget.setProperty("role", role)
    style = widget.style()
    assert style is not None
    style.unpolish(widget)
    style.polish(widget)


class IconButton(QToolButton):
    """A button that is only an icon; it cannot be made without the words of its tooltip."""

    def __init__(self, icon: str, tip: str, *, role: str = "", color: str = "dim", size: int = 16) -> None:
        super().__init__()
        self._icon_name, self._color, self._size = icon, color, size
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setProperty("role", role)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme().changed.connect(self._paint_icon)
        self._paint_icon()

    def set_icon(self, icon: str, tip: str, color: str | None = None) -> None:
        if (icon, tip, color or self._color) == (self._icon_name, self.toolTip(), self._color):
            return
        self._icon_name, self._color = icon, color or self._color
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self._paint_icon()

    def _paint_icon(self) -> None:
        side = theme().pixels(self._size)
        self.setIconSize(QSize(side, side))
        self.setIcon(theme().icon(self._icon_name, self._color))


class Switch(QFrame):
    """A row of choices of which one is on, such as log | linear."""

    chosen = pyqtSignal()

    def __init__(self, choices: Sequence[str], tips: Sequence[str] = ()) -> None:
        super().__init__()
        self.setProperty("role", "segments")
        row = QHBoxLayout(self)
        row.setContentsMargins(1, 1, 1, 1)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        for index, choice in enumerate(choices):
            part = button(choice, "segment", tips[index] if tips else "")
            part.setCheckable(True)
            self._group.addButton(part, index)
            row.addWidget(part)
        self._choices = list(choices)
        self._group.buttons()[0].setChecked(True)
        self._group.idClicked.connect(self._clicked)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def choice(self) -> str:
        return self._choices[self._group.checkedId()]

    def choose(self, choice: str) -> None:
        part = self._group.button(self._choices.index(choice))
        assert part is not None
        part.setChecked(True)
        self.chosen.emit()

    def _clicked(self, _index: int) -> None:
        self.chosen.emit()


class Legend(QWidget):
    """What the colours of a panel stand for: short strokes with names beside them."""

    def __init__(self, entries: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._entries = list(entries)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.updateGeometry()  # a method of our own: Qt's would be called after the widget's end

    def show_entries(self, entries: Sequence[tuple[str, str]]) -> None:
        """Pairs of name and colour; a colour is the name of a token or #rrggbb."""
        if list(entries) != self._entries:
            self._entries = list(entries)
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(sum(self._widths()), theme().pixels(18))

    def minimumSizeHint(self) -> QSize:
        return QSize(0, theme().pixels(18))

    def _widths(self) -> list[int]:
        metrics = self._metrics()
        return [theme().pixels(30) + metrics.horizontalAdvance(name) for name, _ in self._entries]

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(theme().font("caption"))

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme().font("caption"))
        x, middle, stroke = 0.0, self.height() / 2, theme().pixels(12)
        for (name, color), width in zip(self._entries, self._widths(), strict=True):
            pen = QPen(QColor(getattr(theme().tokens, color, color)), theme().pixels(3))
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            painter.drawLine(int(x + 2), int(middle), int(x + stroke), int(middle))
            painter.setPen(QColor(theme().tokens.dim))
            box = QRectF(x + stroke + theme().pixels(6), 0, width, self.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
            x += width
        painter.end()


class FittingLabel(QLabel):
    """A label of one line that shows the longest of several wordings that there is room for, else none."""

    def __init__(self, role: str = "") -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._wordings: Sequence[str] = ()

    def show_wordings(self, wordings: Sequence[str]) -> None:
        """From the longest to the shortest; the longest is the tooltip."""
        if wordings != self._wordings:
            self._wordings = wordings
            self.setToolTip(wordings[0] if wordings else "")
            self._fit()

    def _fit(self) -> None:
        width = self.fontMetrics().horizontalAdvance
        self.setText(next((words for words in self._wordings if width(words) <= self.width()), ""))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()


class ElidedLabel(QLabel):
    """A label of one line that shortens its text in the middle instead of being clipped."""

    def __init__(self, text: str = "", role: str = "") -> None:
        super().__init__(text)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str | None) -> None:
        super().setText(text)
        self.setToolTip(text or "")

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.end()
