"""Where a step's time goes: waiting for data, forward, backward, optimizer, and the watching itself."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from .backward import listen_to_backward, stop_listening_to_backward
from .instrument import Instrument, Moment, Scene
from .table import Table
from .timeline import Timeline

SERIES = ("time/data", "time/forward", "time/backward", "time/optimizer", "time/watch")


class Phases(Instrument):
    """`time/{data,forward,backward,optimizer,watch}` in seconds; on CUDA all but `data` and `watch` in device time."""

    name: ClassVar[str] = "phases"
    weight: ClassVar[float] = 0.3
    needs_root = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._on_device = scene.device.type == "cuda"
        self._now: Timeline | None = None
        self._late: list[tuple[int, Timeline, float, float]] = []

    def arm(self, moment: Moment) -> None:
        moment.timeline = self._now = Timeline(self._event if self._on_device else self.scene.clock)
        listen_to_backward(self._hear_backward)

    def disarm(self) -> None:
        self._now = None
        stop_listening_to_backward(self._hear_backward)

    def record(self, moment: Moment) -> None:
        timeline, self._now = moment.timeline, None
        if timeline is None or not timeline.intervals:
            return
        data = max(moment.forward_at - moment.began_at, 0.0) if moment.forward_at is not None else 0.0
        if self._on_device:
            self._late.append((moment.step, timeline, data, moment.watch_seconds))
            self._collect()
        else:
            taken = timeline.seconds(lambda start, end: end - start)
            taken["forward"] = max(taken.get("forward", 0.0) - moment.hook_seconds, 0.0)
            self._append(moment.step, taken, data, moment.watch_seconds)

    def finish(self) -> None:
        if self._late:
            torch.cuda.synchronize(self.scene.device)
            self._collect()

    def _append(self, step: int, taken: dict[str, float], data: float, watch: float) -> None:
        phases = [taken.get(name, 0.0) for name in ("forward", "backward", "optimizer")]
        self.table.append(step, SERIES, (data, *phases, watch))

    def _collect(self) -> None:
        while self._late and self._late[0][1].arrived():
            step, timeline, data, watch = self._late.pop(0)
            taken = timeline.seconds(lambda start, end: start.elapsed_time(end) / 1000)
            self._append(step, taken, data, watch)

    def _hear_backward(self, begins: bool) -> None:
        if self._now is not None:
            (self._now.start if begins else self._now.end)("backward")

    def _event(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.scene.device))
        return event
