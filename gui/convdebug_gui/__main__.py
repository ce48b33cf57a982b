"""The window's own entry: `python -m convdebug_gui [open SESSION | demo [SESSION]]`."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convdebug_gui.frame import Frame

USAGE = "usage: python -m convdebug_gui [open SESSION | demo [SESSION]]"
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
X11_LIBRARIES = {
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window and return its exit code; 2, with one line, where it cannot be opened."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    problem = _misuse(words) or no_display() or missing_libraries()
    if problem:
        print(f"convdebug: {problem}", file=sys.stderr)
        return 2
    return run(words)


def _misuse(words: list[str]) -> str:
    if words and words[0] not in ("open", "demo"):
        return f"{words[0]} is no command of the window; {USAGE}"
    if (words[:1] == ["open"] and len(words) != 2) or len(words) > 2:
        return USAGE
    return ""


def run(words: list[str]) -> int:
    """Show the window; the command's page comes after the first frame."""
    from PyQt6.QtCore import QSettings, QTimer
    from PyQt6.QtWidgets import QApplication

    from convdebug_gui.frame import Frame
    from convdebug_gui.theme import install

    app = QApplication(sys.argv[:1])
    app.setApplicationName("convdebug")
    app.setOrganizationName("convdebug")
    app.setApplicationDisplayName("convdebug")
    settings = QSettings()
    install(app, settings)
    frame = Frame(settings)
    sys.excepthook = Complaint(frame)
    frame.show()
    QTimer.singleShot(0, frame.description.load)
    if words:
        QTimer.singleShot(0, lambda: _begin(frame, words))
    return app.exec()


def _begin(frame: Frame, words: list[str]) -> None:
    if words[0] == "open":
        frame.open(Path(words[1]))
    else:
        frame.demo(Path(words[1]) if len(words) > 1 else None)


class Complaint:
    """What is done with an error of the window itself: it is shown and printed, and the window stays."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        words = "".join(traceback.format_exception(kind, error, trace))
        print(words, file=sys.stderr)
        if not issubclass(kind, KeyboardInterrupt):
            self._frame.complain(f"{kind.__name__}: {error}", words)


def no_display() -> str:
    """A sentence where a window cannot be shown at all."""
    if sys.platform in ("win32", "darwin") or os.environ.get("QT_QPA_PLATFORM"):
        return ""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return ""
    return "no display here for the window; `convdebug demo`, `train`, `check` and `diagnose` work in the terminal"


def missing_libraries() -> str:
    """A sentence that names the system's libraries which Qt would miss."""
    if not sys.platform.startswith("linux"):
        return ""
    on_x11 = bool(os.environ.get("DISPLAY")) and os.environ.get("QT_QPA_PLATFORM", "xcb") == "xcb"
    wanted = LIBRARIES | (X11_LIBRARIES if on_x11 and not os.environ.get("WAYLAND_DISPLAY") else {})
    packages = [package for library, package in wanted.items() if not _loads(library)]
    if not packages:
        return ""
    return f"Qt needs system libraries that are not here. On Debian/Ubuntu: apt-get install -y {' '.join(packages)}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
