"""Gaps between frames while an engine trains on the same cores and the playhead scrubs: window_live.py [SECONDS]."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "gui"), str(ROOT / "sessions")]
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("", "gui", "sessions"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
FRAME_S = 1 / 60
CONFIG = {"data.limit": 4000, "data.val_limit": 400, "data.batch_size": 32, "train.epochs": 50}


def main(seconds: float) -> None:
    from PyQt6.QtCore import QSettings
    from PyQt6.QtWidgets import QApplication

    from convdebug_gui import theme
    from convdebug_gui.acting_screenshots import made_frame, put_away

    app = QApplication([])
    with tempfile.TemporaryDirectory() as place:
        os.environ["CONVDEBUG_SESSIONS"] = place
        settings = QSettings(f"{place}/settings.ini", QSettings.Format.IniFormat)
        theme.install(app, settings)
        frame = made_frame(settings, Path(place), (1440, 900))
        frame.new_run()
        bench = frame.workbench
        assert bench is not None
        bench.form.load(CONFIG)
        bench.run()
        _until(app, lambda: bench.model.run is not None and bench.model.run.steps > 20)
        first, load = bench.model.run.steps, os.getloadavg()[0]
        stolen = _stolen()
        gaps, work = 1000 * np.array(_scrub(app, bench.model, seconds)).T
        print(
            f"{len(gaps)} frames in {seconds:g} s beside {bench.model.run.steps - first} training steps "
            f"(load of the machine {load:.1f}): gap median {np.median(gaps):.1f} ms, "
            f"99th percentile {np.quantile(gaps, 0.99):.1f} ms, 99.9th {np.quantile(gaps, 0.999):.1f} ms, "
            f"longest {gaps.max():.1f} ms"
        )
        print(
            f"the window's own processor time in a frame: median {np.median(work):.1f} ms, "
            f"99th percentile {np.quantile(work, 0.99):.1f} ms, 99.9th {np.quantile(work, 0.999):.1f} ms, "
            f"longest {work.max():.1f} ms; taken from this machine by its host: {_stolen() - stolen:.1f} s"
        )
        put_away(app, frame)


def _scrub(app, model, seconds: float) -> list[tuple[float, float]]:
    """Seconds from frame to frame and the processor's share of them, the playhead moved before each one."""
    gaps, random = [], np.random.default_rng(0)
    last = began = time.perf_counter()
    worked = time.thread_time()
    while last - began < seconds:
        first, end = model.extent
        model.seek(round(first + random.uniform() * (end - first)))
        app.processEvents()
        time.sleep(max(FRAME_S - (time.perf_counter() - last), 0))
        now, work = time.perf_counter(), time.thread_time()
        gaps.append((now - last, work - worked))
        last, worked = now, work
    return gaps


def _stolen() -> float:
    """Seconds that a virtual machine's processors were given to others since it began; 0 where nobody says."""
    counts = Path("/proc/stat")
    return float(counts.read_text().split()[8]) / os.sysconf("SC_CLK_TCK") if counts.exists() else 0.0


def _until(app, found, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not found():
        app.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise TimeoutError("the training did not begin")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
