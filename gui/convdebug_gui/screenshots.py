"""Renders the states of the window to PNG files: python -m convdebug_gui.screenshots OUT [SESSION]."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class State:
    """A name, and what is done to a window with a session open before its picture is taken."""

    name: str
    prepare: Callable[[object], None]
    session: bool = True


def take(folder: Path, session: Path, size: tuple[int, int], ending: str) -> list[Path]:
    """One picture of each state in each theme; the files written."""
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
            for state in states():
                path = folder / f"{state.name}-{choice}{ending}.png"
                _picture(app, settings, state, session, size).save(str(path))
                written.append(path)
            for name, picture in acting_screenshots.take(app, settings, Path(place), session, size).items():
                path = folder / f"{name}-{choice}{ending}.png"
                picture.save(str(path))
                written.append(path)
    return written


def _picture(app, settings, state: State, session: Path, size: tuple[int, int]):
    from convdebug_gui.main_window import MainWindow
    from convdebug_gui.session_model import SessionModel

    model = SessionModel()
    window = MainWindow(model, settings)
    window.resize(*size)
    window.show()
    if state.session:
        model.open(session)
    _settle(app, window)
    state.prepare(window)
    _settle(app, window)
    picture = window.grab()
    window.close()
    model.close()
    window.deleteLater()
    app.processEvents()
    return picture


def _settle(app, window) -> None:
    for _round in range(3):
        app.processEvents()
        window.model.tick()
        window.deck.draw_all()
    app.processEvents()


def states() -> Iterator[State]:
    """Every state of the viewing half."""
    yield State("session", _at_the_symptom)
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
        print("usage: python -m convdebug_gui.screenshots OUT [SESSION]", file=sys.stderr)
        return 2
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        session = Path(arguments[1]) if len(arguments) > 1 else _made(Path(place))
        scaled = os.environ.get("QT_SCALE_FACTOR", "1") != "1"
        for path in take(folder, session, (1440, 900), "-2x" if scaled else ""):
            print(path)
    return 0


def _made(folder: Path) -> Path:
    from convdebug_gui.made_session import make_session

    return make_session(folder / "run.convdebug")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
