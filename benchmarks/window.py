"""How fast the window opens and scrubs a large session: python benchmarks/window.py [STEPS] [SERIES] [SESSION]."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "gui"), str(ROOT / "sessions")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
SCRUBS = 100


def main(steps: int, series: int, session: Path | None) -> None:
    from convdebug_gui.made_session import make_large

    with tempfile.TemporaryDirectory() as place:
        path = session or Path(place) / "large.convdebug"
        if not path.exists():
            began = time.perf_counter()
            make_large(path, steps=steps, series=series)
            print(f"recorded {steps} steps x {series} series in {time.perf_counter() - began:.1f} s")
        _measure(path, Path(place))


def _measure(path: Path, place: Path) -> None:
    from PyQt6.QtCore import QSettings
    from PyQt6.QtWidgets import QApplication

    from convdebug_gui import theme
    from convdebug_gui.main_window import MainWindow
    from convdebug_gui.session_model import SessionModel

    app = QApplication([])
    settings = QSettings(str(place / "settings.ini"), QSettings.Format.IniFormat)
    theme.install(app, settings)
    began = time.perf_counter()
    model = SessionModel()
    window = MainWindow(model, settings)
    window.show()
    app.processEvents()
    print(f"window without a session: {_ms(began):.0f} ms")
    began = time.perf_counter()
    model.open(path)
    _draw(app, window)
    print(f"open and first draw: {_ms(began):.0f} ms")
    frames = np.array([_scrub(app, window, share) for share in np.random.default_rng(0).uniform(0, 1, SCRUBS)])
    print(
        f"scrub: {1000 / frames.mean():.0f} frames/s, frame median {np.median(frames):.1f} ms, "
        f"99th percentile {np.quantile(frames, 0.99):.1f} ms, longest {frames.max():.1f} ms"
    )
    window.close()
    model.close()


def _draw(app, window) -> None:
    """Every visible panel, painted."""
    window.model.tick()
    while any(panel.due() for panel in window.deck.panels):
        window.model.tick()
    app.processEvents()


def _scrub(app, window, share: float) -> float:
    began = time.perf_counter()
    first, last = window.model.extent
    window.model.seek(round(first + share * (last - first)))
    window.model.tick()
    app.processEvents()
    return _ms(began)


def _ms(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    told = sys.argv[1:]
    main(
        int(told[0]) if told else 1_000_000,
        int(told[1]) if len(told) > 1 else 200,
        Path(told[2]) if len(told) > 2 else None,
    )
