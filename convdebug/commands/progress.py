"""Progress bars on standard error that stay quiet where it is not a terminal."""

import sys

from tqdm import tqdm


class Bars:
    """One bar at a time; a new text starts a new bar."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._text = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str, done: int, total: int | None, note: str = "") -> None:
        """Move the bar named `text` to `done` of `total`."""
        if self._bar is None or text != self._text or total != self._bar.total:
            self.clear()
            self._text = text
            self._bar = tqdm(
                total=total, desc=text, file=sys.stderr, leave=False, disable=None, unit="", mininterval=0.2
            )
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def clear(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
