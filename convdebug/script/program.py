"""A script or a module as Python would start it: its code, its name, its arguments, its place in the search path."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from convdebug.errors import UserError, nearest


@dataclass(frozen=True)
class Program:
    """What is to be run as `__main__`; `source` is compiled when it starts, so that it fails as under Python."""

    name: str
    file: str
    source: bytes
    search_path: str
    arguments: tuple[str, ...]
    spec: importlib.machinery.ModuleSpec | None = None

    def start(self) -> None:
        """Run it in this process; whatever it raises comes out, SystemExit too."""
        module = ModuleType("__main__")
        module.__dict__.update(self._globals())
        sys.modules["__main__"] = module
        sys.argv[:] = self.arguments
        if not sys.flags.safe_path:
            sys.path[0] = self.search_path
        exec(self.code(), module.__dict__)

    def code(self) -> CodeType:
        """The compiled program; SyntaxError as Python raises it."""
        return compile(self.source, self.file, "exec", dont_inherit=True)

    def _globals(self) -> dict[str, Any]:
        loader = self.spec.loader if self.spec else importlib.machinery.SourceFileLoader("__main__", self.file)
        return {
            "__builtins__": builtins,
            "__file__": self.file,
            "__cached__": None,
            "__spec__": self.spec,
            "__package__": self.spec.parent if self.spec else None,
            "__loader__": loader,
        }


def script_program(script: str, arguments: tuple[str, ...]) -> Program:
    """The program that `python SCRIPT ARGS` runs; UserError for what is missing, a folder, or not Python."""
    path = Path(script)
    if path.is_dir():
        inside = [each.name for each in sorted(path.glob("*.py"))]
        raise UserError(f"{script} is a folder; name the script in it{nearest('train.py', inside)}")
    if not path.is_file():
        beside = sorted(each.name for each in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise UserError(f"script {script} does not exist{nearest(path.name, beside)}")
    source = path.read_bytes()
    _require_python(path, source)
    folder = os.path.dirname(os.path.realpath(path))
    return Program(path.name, os.path.abspath(path), source, folder, (script, *arguments))


def _require_python(path: Path, source: bytes) -> None:
    """A file with Python's ending may hold an error of syntax, which Python then shows; any other must compile."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        source.decode(encoding)
        if path.suffix not in (".py", ".pyw"):
            compile(source, str(path), "exec", dont_inherit=True)
        elif b"\0" in source:
            raise ValueError("null bytes")
    except (SyntaxError, ValueError, LookupError) as problem:
        reason = problem.msg if isinstance(problem, SyntaxError) else str(problem)
        raise UserError(f"{path} is not a Python script ({reason})") from problem


def module_program(name: str, arguments: tuple[str, ...]) -> Program:
    """The program that `python -m NAME ARGS` runs; UserError where there is no such module."""
    here = os.getcwd()
    before = list(sys.path)
    sys.path[:1] = [here]
    try:
        spec = _found(name)
    finally:
        sys.path[:] = before
    if spec.origin is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
        raise UserError(f"module {name} has no Python source that could be run")
    source = Path(spec.origin).read_bytes()
    return Program(name, spec.origin, source, here, (spec.origin, *arguments), spec)


def _found(name: str) -> importlib.machinery.ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None:
        raise UserError(f"module {name} does not exist{nearest(name, _modules_here())}")
    if spec.submodule_search_locations is None:
        return spec
    main = importlib.util.find_spec(f"{name}.__main__")
    if main is None:
        raise UserError(f"{name} is a package without __main__.py; name the module in it to run")
    return main


def _modules_here() -> list[str]:
    files = [path.stem for path in sorted(Path.cwd().glob("*.py"))]
    packages = [path.parent.name for path in sorted(Path.cwd().glob("*/__init__.py"))]
    inside = [f"{path.parent.name}.{path.stem}" for path in sorted(Path.cwd().glob("*/*.py")) if path.stem[:2] != "__"]
    return files + packages + inside
