"""Finding the user's function behind ``path/to/file.py:function`` or ``package.module:function``, and calling it."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from convdebug.errors import TargetError, UserError, nearest
from convdebug.leaving import text_of


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Inside, whatever is raised becomes a TargetError with the original as its cause; our own errors pass."""
    try:
        yield
    except (UserError, TargetError):
        raise
    except (Exception, SystemExit) as error:
        raise TargetError(f"{what} raised {type(error).__name__}: {text_of(error)}") from error


def find_function(text: str) -> Callable[..., Any]:
    """The function that ``text`` names; UserError for what is missing, TargetError when importing it raises."""
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UserError(f"target {text!r} is neither path/to/file.py:function nor package.module:function")
    is_file = place.endswith(".py") or "/" in place
    module = _load_file(Path(place)) if is_file else _load_module(place)
    if not hasattr(module, name):
        functions = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        raise UserError(f"{place} has no function {name!r}{nearest(name, functions)}")
    return getattr(module, name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        beside = sorted(each.name for each in path.parent.glob("*.py"))
        raise UserError(f"target file {path} does not exist{nearest(path.name, beside)}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem not in sys.modules else f"convdebug_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"target file {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with users_code(str(path)):
        spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    with users_code(f"module {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UserError(f"target module {name} does not exist (no module named {error.name})") from None
