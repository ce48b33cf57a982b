"""Which step is on screen: paused, playing, or following a run that grows."""

from dataclasses import dataclass

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
STEPS_PER_SECOND = 10.0
MODES = ("paused", "playing", "following")


@dataclass
class Playhead:
    """At speed 1 it plays `STEPS_PER_SECOND` steps in a second. `position` lies between steps while it plays."""

    mode: str = "paused"
    position: float = 0.0
    speed: float = 1.0

    @property
    def step(self) -> int:
        """The step on screen."""
        return int(self.position)

    def seek(self, step: float) -> None:
        """Goes to a step; one who looks somewhere no longer follows."""
        self.position = max(0.0, float(step))
        if self.mode == "following":
            self.mode = "paused"

    def play(self) -> None:
        self.mode = "playing"

    def pause(self) -> None:
        self.mode = "paused"

    def follow(self) -> None:
        self.mode = "following"

    def set_speed(self, speed: float) -> None:
        """Takes the nearest speed from 0.25 to 64."""
        self.speed = min(max(float(speed), SPEEDS[0]), SPEEDS[-1])

    def advance(self, elapsed_s: float, first: int, last: int) -> bool:
        """Moves on by a stretch of time within the steps first … last; True where the position changed."""
        before = self.position
        if self.mode == "following":
            self.position = float(last)
        elif self.mode == "playing":
            self.position += max(elapsed_s, 0.0) * self.speed * STEPS_PER_SECOND
        self.position = min(max(self.position, float(first)), float(max(first, last)))
        if self.mode == "playing" and self.position >= last:
            self.mode = "paused"
        return self.position != before
