"""What is said beside the script, on standard error; a script may have closed what it would be said on."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


def say(text: str) -> None:
    """One line on standard error, never on the script's own standard output; nowhere if the script has closed it."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        print(f"convdebug: {text}", file=sys.stderr, flush=True)


def flush(stream: Any) -> None:
    """Write out what the script has printed, where there still is something to write it on."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stream.flush()
