"""What a check draws in the wizard and the report: a few lines or bars, kept in the session as an event `chart`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_POINTS = 400


@dataclass(frozen=True)
class Chart:
    """Named lines (or bars) over steps, or over the places in `names` (layers, parameters), in words of the axes.

    `level` is what the values are held against. Long lines are thinned, all names with them.
    """

    y_label: str
    lines: Mapping[str, Sequence[float]]
    x_label: str = ""
    names: Sequence[str] = ()
    x: Sequence[float] = ()
    bars: bool = False
    log_x: bool = False
    log_y: bool = False
    level: float | None = None
    level_name: str = ""

    def as_json(self) -> dict[str, Any]:
        """The data of the event `chart`."""
        every = -(-max((len(values) for values in self.lines.values()), default=0) // MOST_POINTS) or 1
        lines = [{"name": name, "y": [float(y) for y in values][::every]} for name, values in self.lines.items()]
        thinned = {"names": list(self.names)[::every], "x": [float(x) for x in self.x][::every], "lines": lines}
        return asdict(self) | thinned
