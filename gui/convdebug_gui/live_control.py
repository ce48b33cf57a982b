"""The bar above everything: run, pause, step, stop, the values that change live, and how far and how fast it goes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PyQt6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from convdebug_gui.controls import FittingLabel, button, label
from convdebug_gui.fields import Field, fields
from convdebug_gui.live_field import LiveField
from convdebug_gui.reading import LIVE_KEYS, Reading, count, duration
from convdebug_gui.theme import theme

SHORT = {
    "optimizer.lr": "rate",
    "optimizer.momentum": "momentum",
    "optimizer.weight_decay": "decay",
    "data.batch_size": "batch",
}
RUN_TIP = "Start a run with what the form says (Ctrl+R)"


LEAST_ROOM = {"optimizer.momentum": 760, "optimizer.weight_decay": 1240, "data.batch_size": 1360}


class State(Enum):
    """What the engine of this window is doing."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


class LiveControl(QWidget):
    """Buttons, live values and readouts; everything it wants is a signal, everything it knows is shown to it."""

    run_wanted = pyqtSignal()
    wish = pyqtSignal(str, object)
    stop_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = State.IDLE
        self._no_run, self._fixed = "", dict[str, str]()
        self.run_button = button("Run", "primary", RUN_TIP)
        self.pause_button = button("Pause", "", "Pause after the step at hand (Ctrl+P)")
        self.step_button = button("Step", "", "One training step, then pause (Ctrl+.)")
        self.stop_button = button("Stop", "", "End the run cleanly; everything recorded is kept (Ctrl+Shift+S)")
        self._connect()
        self.live_fields: dict[str, LiveField] = {}
        self._labels: dict[str, QWidget] = {}
        self._live_row = QHBoxLayout()
        self._live_row.setSpacing(6)
        self.readout = FittingLabel("small-number")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(theme().pixels(76))
        self.progress.setAccessibleName("Progress of the run")
        self.left = label("", "small-number")
        self._lay_out()
        self._show_icons()
        theme().changed.connect(self._show_icons)
        self.set_state(State.IDLE)

    def _connect(self) -> None:
        for widget, shortcut, act in (
            (self.run_button, "", self._run),
            (self.pause_button, "Ctrl+P", self.pause_or_continue),
            (self.step_button, "Ctrl+.", self._step),
            (self.stop_button, "Ctrl+Shift+S", self._stop),
        ):
            widget.clicked.connect(act)
            if shortcut:
                QShortcut(QKeySequence(shortcut), self, widget.click)
        QShortcut(QKeySequence("Ctrl+L"), self, self._to_rate)

    def _lay_out(self) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.run_button, self.pause_button, self.step_button, self.stop_button):
            layout.addWidget(widget)
        layout.addSpacing(12)
        layout.addLayout(self._live_row)
        layout.addWidget(self.readout, 1)
        layout.addWidget(self.progress)
        layout.addWidget(self.left)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _show_icons(self) -> None:
        paused = self.state == State.PAUSED
        side = theme().pixels(14)
        for widget, name, color in (
            (self.run_button, "play-fill", "on_accent"),
            (self.pause_button, "play-fill" if paused else "pause-fill", "ink"),
            (self.step_button, "skip-forward-fill", "ink"),
            (self.stop_button, "stop-fill", "ink"),
        ):
            widget.setIcon(theme().icon(name, color))
            widget.setIconSize(QSize(side, side))

    def set_schema(self, schema: Mapping[str, Any]) -> None:
        """Make the live fields from the engine's schema, the usual ones in the usual order."""
        known = {field.key: field for field in fields(schema) if field.live}
        for key in LIVE_KEYS:
            if key in known and key not in self.live_fields:
                self._add_live(known[key])
        self._enable()
        self._fit()

    def _add_live(self, field: Field) -> None:
        live = LiveField(field)
        live.wished.connect(self._wish_value)
        caption = label(SHORT[field.key], "dim")
        caption.setBuddy(live)
        self._live_row.addWidget(caption)
        self._live_row.addWidget(live)
        self._live_row.addSpacing(4)
        self.live_fields[field.key] = live
        self._labels[field.key] = caption

    def _wish_value(self, key: str, value: object) -> None:
        self.wish.emit("set", {key: value})

    def set_state(self, state: State) -> None:
        """Offer what can be done in a state, and only that."""
        changed, self.state = state != self.state, state
        self.pause_button.setText("Continue" if state == State.PAUSED else "Pause")
        self.stop_button.setText("Stopping …" if state == State.STOPPING else "Stop")
        self.run_button.setText("Starting …" if state == State.STARTING else "Run")
        if changed:
            self._show_icons()
        self._enable()

    def set_limits(self, no_run: str, fixed: Mapping[str, str]) -> None:
        """Why no run can be started here (empty: one can), and why some values cannot be changed live, by key."""
        if (no_run, fixed) != (self._no_run, self._fixed):
            self._no_run, self._fixed = no_run, dict(fixed)
            self.run_button.setToolTip(no_run or RUN_TIP)
            for live in self.live_fields.values():
                live.forget()
            self._enable()

    def _enable(self) -> None:
        going = self.state in (State.RUNNING, State.PAUSED)
        self.run_button.setEnabled(self.state == State.IDLE and not self._no_run)
        for widget in (self.pause_button, self.step_button):
            widget.setEnabled(going)
        for key, live in self.live_fields.items():
            live.setEnabled(going and key not in self._fixed)
            live.say_fixed(self._fixed.get(key, ""))
        self.stop_button.setEnabled(going or self.state == State.STARTING)
        if not going:
            for live in self.live_fields.values():
                live.forget()

    def show_values(self, values: Mapping[str, Any]) -> None:
        """The live values in force."""
        for key, live in self.live_fields.items():
            live.show_value(values.get(key))

    def show_reading(self, reading: Reading | None) -> None:
        """The readouts at the right; None leaves them empty."""
        self.readout.show_wordings(readouts(reading) if reading is not None else ())
        share = reading.share if reading is not None else None
        self.progress.setVisible(share is not None)
        self.progress.setValue(round(1000 * (share or 0.0)))
        self.left.setText(self._left(reading) if reading is not None else "")

    def _left(self, reading: Reading) -> str:
        if self.state == State.PAUSED:
            return "paused"
        if self.state == State.IDLE or reading.seconds_left is None:
            return f"step {reading.step:,}".replace(",", " ")
        return f"{duration(reading.seconds_left)} left"

    def _run(self) -> None:
        self.run_wanted.emit()

    def _to_rate(self) -> None:
        if (rate := self.live_fields.get("optimizer.lr")) is not None:
            rate.setFocus()
            rate.selectAll()

    def _stop(self) -> None:
        self.stop_wanted.emit()

    def pause_or_continue(self) -> None:
        self.wish.emit("continue" if self.state == State.PAUSED else "pause", None)

    def _step(self) -> None:
        self.wish.emit("step", None)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(theme().pixels(520), super().minimumSizeHint().height())

    def _fit(self) -> None:
        """Where there is little room the rarer values are left to the form, the readouts say less."""
        room = self.width() / theme().scale
        for key, least in LEAST_ROOM.items():
            for widget in (self.live_fields.get(key), self._labels.get(key)):
                if widget is not None:
                    widget.setVisible(room >= least)

    def buttons(self) -> list[QPushButton]:
        return [self.run_button, self.pause_button, self.step_button, self.stop_button]


def readouts(reading: Reading) -> list[str]:
    """Device, speed, what watching costs, epoch, as far as they are known; then with ever less of it."""
    parts = [reading.device.partition(" (")[0]] if reading.device else []  # the number of threads has no room
    if reading.images_per_s is not None:
        parts.append(f"{count(reading.images_per_s)} img/s")
    if reading.overhead is not None:
        parts.append(f"watch {100 * reading.overhead:.1f} %")
    if reading.epoch is not None and reading.epochs:
        parts.append(f"epoch {min(reading.epochs, int(reading.epoch) + 1)}/{reading.epochs}")
    shorter = [parts[start:] for start in range(len(parts))]
    return [" · ".join(some) for some in shorter]
