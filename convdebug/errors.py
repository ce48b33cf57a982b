"""What goes wrong outside convdebug: bad use and bad input, and user code that raises."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad use or bad input, in one line that names the thing: exit code 2, no traceback."""


class TargetError(Exception):
    """The user's own code raised; the original exception is ``__cause__``: exit code 3 with the user's traceback."""


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (nearest: x)``, to be appended to a message about an unknown name; empty when there are no names."""
    known = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.0)
    return f" (nearest: {known[close[0]]})" if close else ""
