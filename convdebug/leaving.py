"""How a run ends, by what its training raised: in the same words around a loop and around a whole script."""

from __future__ import annotations

Ended = tuple[str, str | None]
"""Status and reason."""


def ended_by(error: BaseException | None) -> Ended:
    """Only an error crashes a run; what means to leave (an exit code, Ctrl-C, a generator that is closed) stops it."""
    if error is None:
        return "finished", None
    if isinstance(error, SystemExit):
        return left_with(error.code)
    if isinstance(error, KeyboardInterrupt):
        return "stopped", "interrupted from the keyboard"
    if isinstance(error, GeneratorExit):
        return "stopped", "the generator that trains was closed"
    name = f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")
    return ("crashed" if isinstance(error, Exception | BaseExceptionGroup) else "stopped"), name


def text_of(error: BaseException) -> str:
    """What an error says; the text of one of the user's own may fail itself."""
    try:
        return str(error)
    except Exception as problem:
        return f"(no text: its __str__ raised {type(problem).__name__})"


def left_with(code: object) -> Ended:
    """`sys.exit()`: a number, nothing, or a text that Python prints and turns into 1."""
    if code is None or code == 0:
        return "finished", None
    if isinstance(code, int):
        return "stopped", f"the script ended itself with exit code {code}"
    return "stopped", f"the script ended itself: {code}"
