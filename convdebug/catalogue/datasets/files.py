"""Where the files of a data set are, and what to say when they are missing."""

from collections.abc import Callable
from pathlib import Path

from convdebug.errors import UserError
from convdebug.settings import DataConfig


def require(settings: DataConfig, title: str, wanted: list[Path], fetch: Callable[[], object]) -> None:
    """See that one of the ``wanted`` files or folders is there; download when the settings allow it, else UserError."""
    if any(path.exists() for path in wanted):
        return
    if not settings.download:
        looked_for = " or ".join(str(path) for path in wanted)
        raise UserError(
            f"no {title}: {looked_for} does not exist; set data.root or CONVDEBUG_DATA to the folder that holds it,"
            " or allow the download with --set data.download=true"
        )
    try:
        settings.folder().mkdir(parents=True, exist_ok=True)
        fetch()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{title} could not be downloaded to {settings.folder()}: {error}") from error
