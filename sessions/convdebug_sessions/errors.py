"""The one error that a session raises: a clear line that names the file or the thing."""

import difflib
from collections.abc import Iterable


class SessionError(Exception):
    """A session could not be written or read; the message is one line for the user."""


def nearest(name: str, names: Iterable[str]) -> str:
    """ " (nearest: x)", or nothing where no name is known."""
    known = list(names)
    if not known:
        return ""
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f" (nearest: {closest[0]})" if closest else ""
