"""Renders the states of the window to PNG files: python -m convdebug_gui.screenshots OUT [SESSION | guide].

With `guide`, just the pictures that the user guide shows.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST = 80_000  # bytes of a picture in a repository
Wanted = Sequence[tuple[str, str]]
GUIDE: Wanted = (
    ("window", "dark"),
    ("window", "light"),
    ("welcome", "light"),
    ("wizard", "dark"),
    ("wizard-summary", "light"),
    ("running", "dark"),
    ("explanation", "light"),
    ("picked-layer", "dark"),
    ("predictions", "light"),
    ("crash", "dark"),
    ("form-errors", "light"),
)


@dataclass(frozen=True)
class State:
    """A name, and what is done to a window with a session open before its picture is taken."""

    name: str
    prepare: Callable[[object], None]
    session: bool = True


def take(folder: Path, session: Path, size: tuple[int, int], ending: str, wanted: Wanted = ()) -> list[Path]:
    """A picture of each wanted state and look, or of each state in both looks; the files written."""
    from PyQt6.QtCore import QSettings
    from PyQt6.QtWidgets import QApplication

    from convdebug_gui import acting_screenshots, theme

    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    app.setQuitOnLastWindowClosed(False)
    with tempfile.TemporaryDirectory() as place:
        settings = QSettings(f"{place}/settings.ini", QSettings.Format.IniFormat)
        look = theme.install(app, settings)
        written = []
        for choice in ("dark", "light"):
            look.choose(choice)
            names = {name for name, look_of in wanted if look_of == choice} if wanted else None
            pictures = _viewing(app, settings, Path(place), session, size, names)
            acting = acting_screenshots.take(app, settings, Path(place), session, size, names)
            for name, picture in (pictures | acting).items():
                path = folder / f"{name}-{choice}{ending}.png"
                picture.save(str(path))
                if wanted and path.stat().st_size > LARGEST:
                    _make_small(path)
                written.append(path)
    return written


def _make_small(path: Path) -> None:
    """A third of the size, in 256 colours."""
    from PIL import Image  # torchvision brings it along

    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def _viewing(app, settings, folder: Path, session: Path, size: tuple[int, int], names: set[str] | None):
    from convdebug_gui import acting_screenshots

    frame = acting_screenshots.made_frame(settings, folder, size)
    pictures = {
        state.name: _picture(app, frame, state, session) for state in states() if names is None or state.name in names
    }
    acting_screenshots.put_away(app, frame)
    return pictures


def _picture(app, frame, state: State, session: Path):
    """The whole window: top bar, form, panels and replay bar."""
    if state.session:
        frame.open(session)
    else:
        frame.new_run()
    bench = frame.workbench
    bench.banner.show_notice(None)
    _settle(app, bench.main)
    state.prepare(bench.main)
    _settle(app, bench.main)
    picture = frame.grab()
    bench.main.model.pick_layer(None)
    bench.main.deck.docks["explanation"].close()
    bench.main.deck.panel("pictures").switch.choose("filters")
    bench.main.deck.panel("activations").switch.choose("histograms")
    bench.main.deck.panel("loss").scale.choose("log")
    return picture


def _settle(app, window) -> None:
    for _round in range(3):
        app.processEvents()
        window.model.tick()
        window.deck.draw_all()
    app.processEvents()


def states() -> Iterator[State]:
    """Every state of the viewing half."""
    yield State("window", _at_the_symptom)
    yield State("empty", _nothing, session=False)
    yield State("predictions", _predictions)
    yield State("sweep", _sweep)
    yield State("picked-layer", _picked)
    yield State("explanation", _explained)


def _nothing(_window: object) -> None:
    return None


def _at_the_symptom(window) -> None:
    first, last = window.model.extent
    steps = window.model.marked_steps()
    window.model.seek(steps[-1] if steps else (first + last) // 2)


def _predictions(window) -> None:
    window.model.seek(window.model.extent[1] // 2)
    window.deck.panel("pictures").switch.choose("predictions")
    window.deck.panel("activations").switch.choose("mean ± std")


def _sweep(window) -> None:
    _at_the_symptom(window)
    window.deck.panel("pictures").switch.choose("sweep")
    window.deck.panel("loss").scale.choose("linear")


def _picked(window) -> None:
    _at_the_symptom(window)
    layers = window.model.layers
    window.model.pick_layer(layers[len(layers) // 2].name)


def _explained(window) -> None:
    _at_the_symptom(window)
    window.explain()


def main(arguments: list[str]) -> int:
    if not arguments:
        print("usage: python -m convdebug_gui.screenshots OUT [SESSION | guide]", file=sys.stderr)
        return 2
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        guide = arguments[1:] == ["guide"]
        session = Path(arguments[1]) if len(arguments) > 1 and not guide else _made(Path(place))
        scaled = os.environ.get("QT_SCALE_FACTOR", "1") != "1"
        for path in take(folder, session, (1440, 900), "-2x" if scaled else "", GUIDE if guide else ()):
            print(path)
    return 0


def _made(folder: Path) -> Path:
    from convdebug_gui.made_session import make_session

    return make_session(folder / "run.convdebug")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
