"""The bar below the panels: play, step, speed, the scrubber with its markers, and where the playhead stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PyQt6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QToolButton, QToolTip, QWidget

from convdebug_gui.controls import IconButton, button, label, restyle
from convdebug_gui.session_model import SPEEDS, SessionModel
from convdebug_gui.theme import mix, theme
from convdebug_gui.ticks import step_number

HIT_PX = 8
CHANGES_SHOWN = 200


@dataclass(frozen=True)
class Marker:
    """Something on the scrubber. `shape`: diamond (diagnosis), triangle (change), tick (checkpoint)."""

    step: int
    shape: str
    color: str
    words: str


class Scrubber(QWidget):
    """A slider over the share of the run that has gone by; it never holds a step number in 32 bits."""

    moved = pyqtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        self.extent = (0, 0)
        self.step = 0.0
        self.markers: Sequence[Marker] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Playhead: step on screen")
        self.setMouseTracking(True)
        theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(400, theme().pixels(44))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, theme().pixels(44))

    def show_state(self, extent: tuple[int, int], step: float, markers: Sequence[Marker]) -> None:
        if (extent, step, markers) != (self.extent, self.step, self.markers):
            self.extent, self.step, self.markers = extent, step, markers
            self.update()

    # places

    def _track(self) -> tuple[float, float, float]:
        margin = theme().pixels(8)
        return margin, self.width() - margin, self.height() / 2 + theme().pixels(2)

    def x_of(self, step: float) -> float:
        first, last = self.extent
        left, right, _middle = self._track()
        return left + (right - left) * (step - first) / max(last - first, 1)

    def step_at(self, x: float) -> float:
        first, last = self.extent
        left, right, _middle = self._track()
        share = min(max((x - left) / max(right - left, 1), 0.0), 1.0)
        return first + share * (last - first)

    def marker_at(self, point: QPointF) -> Marker | None:
        near = [marker for marker in self.markers if abs(self.x_of(marker.step) - point.x()) <= HIT_PX]
        above = point.y() < self._track()[2] - 4
        near = [marker for marker in near if (marker.shape != "tick") == above]
        return min(near, key=lambda marker: abs(self.x_of(marker.step) - point.x()), default=None)

    # mouse and keys

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        marker = self.marker_at(event.position())
        self.moved.emit(marker.step if marker is not None else round(self.step_at(event.position().x())))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.moved.emit(round(self.step_at(event.position().x())))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        assert event is not None
        first, last = self.extent
        jump = max((last - first) // 20, 1)
        targets = {
            Qt.Key.Key_Home: first, Qt.Key.Key_End: last,
            Qt.Key.Key_PageDown: self.step - jump, Qt.Key.Key_PageUp: self.step + jump,
        }  # fmt: skip
        if event.key() in targets:
            self.moved.emit(targets[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            marker = self.marker_at(QPointF(event.pos()))
            words = marker.words if marker is not None else f"step {step_number(self.step_at(event.pos().x()))}"
            QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().event(event)

    # painting

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens, (left, right, middle) = theme().tokens, self._track()
        here, half = self.x_of(self.step), theme().pixels(2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.line))
        painter.drawRoundedRect(QRectF(left, middle - half, right - left, 2 * half), half, half)
        painter.setBrush(QColor(tokens.accent))
        painter.drawRoundedRect(QRectF(left, middle - half, max(here - left, 0), 2 * half), half, half)
        for marker in self.markers:
            self._paint_marker(painter, marker, middle)
        self._paint_handle(painter, here, middle)
        painter.end()

    def _paint_marker(self, painter: QPainter, marker: Marker, middle: float) -> None:
        x, size = self.x_of(marker.step), theme().pixels(5)
        color = QColor(getattr(theme().tokens, marker.color, marker.color))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        above = middle - theme().pixels(12)
        if marker.shape == "diamond":
            corners = [(x, above - size), (x + size, above), (x, above + size), (x - size, above)]
            painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        elif marker.shape == "triangle":
            corners = [(x, above - size + 1), (x + size, above + size - 1), (x - size, above + size - 1)]
            painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        else:
            painter.drawRect(QRectF(x - 0.75, middle + theme().pixels(7), 1.5, theme().pixels(7)))

    def _paint_handle(self, painter: QPainter, x: float, middle: float) -> None:
        tokens = theme().tokens
        ring = QPen(QColor(tokens.accent if not self.hasFocus() else mix(tokens.accent, tokens.ink, 0.4)))
        ring.setWidthF(theme().pixels(2.6 * 10) / 10)
        painter.setPen(ring)
        painter.setBrush(QColor(tokens.panel if tokens.name == "light" else tokens.ink))
        radius = theme().pixels(6)
        painter.drawEllipse(QPointF(x, middle), radius, radius)


class ReplayBar(QWidget):
    """Drives the playhead of the model and shows where it stands."""

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.setProperty("role", "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._make_buttons()
        self.scrubber = Scrubber()
        self.readout = label("", "number")
        self.mode = button("replay", "quiet", "Follow the run as it grows (F)")
        self._lay_out()
        self._connect()
        self.refresh()

    def _make_buttons(self) -> None:
        self.first = IconButton("skip-back-fill", "To the first step (Home)", role="framed", color="ink")
        self.previous = IconButton("caret-left-fill", "One step back (←; Shift: ten)", role="framed", color="ink")
        self.play = IconButton("play-fill", "Play (Space)", role="primary", color="on_accent")
        self.next = IconButton("caret-right-fill", "One step on (→; Shift: ten)", role="framed", color="ink")
        self.last = IconButton("skip-forward-fill", "To the last step (End)", role="framed", color="ink")
        self.jump = IconButton("warning", "To the next diagnosis (D)", role="framed", color="dim")
        self.speed = QToolButton()
        self.speed.setProperty("role", "chooser")
        self.speed.setToolTip("Speed of play (. faster, , slower)")
        self.speed.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.speed.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.speed.setMenu(self._speed_menu())

    def _speed_menu(self) -> QMenu:
        menu = QMenu(self)
        for speed in SPEEDS:
            action = menu.addAction(speed_words(speed))
            assert action is not None
            action.setData(speed)
        menu.triggered.connect(self._speed_chosen)
        return menu

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(8)
        for part in (self.first, self.previous, self.play, self.next, self.last, self.speed):
            row.addWidget(part)
        row.addWidget(self.scrubber, 1)
        row.addWidget(self.jump)
        row.addSpacing(4)
        row.addWidget(self.readout)
        row.addWidget(self.mode)

    def _connect(self) -> None:
        self.first.clicked.connect(self.go_first)
        self.previous.clicked.connect(self.go_back)
        self.play.clicked.connect(self.model.toggle_play)
        self.next.clicked.connect(self.go_on)
        self.last.clicked.connect(self.go_last)
        self.jump.clicked.connect(self.model.next_diagnosis)
        self.scrubber.moved.connect(self.model.seek)
        self.mode.clicked.connect(self._toggle_following)
        for signal in (self.model.changed, self.model.run_changed, self.model.diagnoses_changed):
            signal.connect(self.refresh)
        theme().changed.connect(self.refresh)

    # actions

    def go_first(self) -> None:
        self.model.seek(self.model.extent[0])

    def go_last(self) -> None:
        if self.model.live:
            self.model.set_following(True)
        else:
            self.model.seek(self.model.extent[1])

    def go_back(self) -> None:
        self.model.step_by(-1)

    def go_on(self) -> None:
        self.model.step_by(1)

    def faster(self) -> None:
        self._walk_speed(1)

    def slower(self) -> None:
        self._walk_speed(-1)

    def _walk_speed(self, by: int) -> None:
        index = min(range(len(SPEEDS)), key=lambda at: abs(SPEEDS[at] - self.model.playhead.speed))
        self.model.set_speed(SPEEDS[min(max(index + by, 0), len(SPEEDS) - 1)])
        self.refresh()

    def _speed_chosen(self, action: object) -> None:
        self.model.set_speed(action.data())  # type: ignore[attr-defined]
        self.refresh()

    def _toggle_following(self) -> None:
        self.model.set_following(self.model.playhead.mode != "following")
        self.refresh()

    # state

    def refresh(self) -> None:
        model = self.model
        there = model.run is not None
        for part in (self.first, self.previous, self.play, self.next, self.last, self.scrubber, self.speed):
            part.setEnabled(there)
        self.jump.setEnabled(bool(model.diagnoses))
        playing = model.playhead.mode == "playing"
        self.play.set_icon("pause-fill" if playing else "play-fill", "Pause (Space)" if playing else "Play (Space)")
        self.speed.setText(speed_words(model.playhead.speed))
        self.scrubber.show_state(model.extent, self.model.playhead.position if there else 0.0, self._markers())
        self._show_readout()
        self._show_mode()

    def _show_readout(self) -> None:
        if self.model.run is None:
            self.readout.setText("no run")
            return
        last = step_number(self.model.extent[1])
        self.readout.setText(f"step {step_number(self.model.step).rjust(len(last), chr(0x2007))} / {last}")

    def _show_mode(self) -> None:
        live, following = self.model.live, self.model.playhead.mode == "following"
        words = ("● live" if following else "follow live") if live else "replay"
        tip = "Following the run as it grows; click to stay here (F)" if following else "Follow the run as it grows (F)"
        self.mode.setText(words)
        self.mode.setToolTip(tip if live else "This run has ended; you look at its recording")
        self.mode.setEnabled(live)
        restyle(self.mode, "live" if live and following else "quiet")

    def _markers(self) -> Sequence[Marker]:
        facts = self.model.facts
        key = ("markers", tuple(id(diagnosis) for diagnosis in self.model.diagnoses))
        return facts.keep(key, self._make_markers) if self.model.run is not None else ()

    def _make_markers(self) -> Sequence[Marker]:
        facts = self.model.facts
        ticks = [
            Marker(ref.step, "tick", "faint", f"checkpoint at step {ref.step}") for ref in facts.blobs("checkpoint")
        ]
        told = [event for event in facts.events("change") if event.data.get("by") != "schedule"]
        changes = [
            Marker(event.step or 0, "triangle", "accent", f"{event.data.get('key')} → {event.data.get('new')}")
            for event in told[-CHANGES_SHOWN:]
        ]
        diagnoses = [
            Marker(diagnosis.first_step, "diamond", _severity_token(diagnosis.severity), diagnosis.title)
            for diagnosis in reversed(self.model.diagnoses)
        ]
        return (*ticks, *changes, *diagnoses)


def _severity_token(severity: str) -> str:
    return {"error": "error", "warning": "warning"}.get(severity, "accent")


def speed_words(speed: float) -> str:
    return f"{speed:g}×"
