"""What code may reach: the globals and attributes it names, and the functions of a class that a call of it runs."""

from __future__ import annotations

import dis
import os
import sys
import sysconfig
import weakref
from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from torch import nn

FOREIGN = frozenset(sys.stdlib_module_names) - {"__main__"} | {
    *("torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas", "PIL", "matplotlib", "convdebug"),
    *("convdebug_sessions", "lightning", "pytorch_lightning", "lightning_fabric", "accelerate", "ignite", "fastai"),
    *("wandb", "mlflow", "tensorboard", "tensorboardX", "tqdm", "rich"),
}
"""Packages whose objects hold nothing of a model's own, or nearly everything (a trainer)."""
PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
PLACES = (sysconfig.get_path("stdlib") + os.sep, os.path.dirname(os.path.dirname(__file__)) + os.sep, "<frozen")
CALLED = ("forward", "__call__", "__getattr__", "__getitem__", "__len__", "__iter__")
"""Where running a module begins."""
BEFORE = frozenset({"__init__", "__new__", "__del__", "__repr__", "__str__", "__init_subclass__"})
"""Methods of other objects that running a model hardly calls."""
GLOBAL = frozenset({"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"})
ATTRIBUTE = frozenset({"LOAD_ATTR", "STORE_ATTR", "DELETE_ATTR", "LOAD_METHOD"})


IN_PLACE = "="
"""Stands among the names for `x[0] = y` and `x += y`."""


class Named(NamedTuple):
    """The names of globals and of attributes in a piece of code, `IN_PLACE` among these."""

    globals: frozenset[str]
    attributes: frozenset[str]


_named: dict[CodeType, Named] = {}
_functions: weakref.WeakKeyDictionary[type, tuple[FunctionType, ...]] = weakref.WeakKeyDictionary()
_own_classes: weakref.WeakKeyDictionary[type, tuple[type, ...]] = weakref.WeakKeyDictionary()


def named_in(code: CodeType) -> Named:
    """What a piece of code names, with the functions that are written inside it."""
    known = _named.get(code)
    if known is None:
        globals_, attributes = set(), set()
        for each in dis.get_instructions(code):
            if each.opname in GLOBAL:
                globals_.add(each.argval)
            elif each.opname in ATTRIBUTE or each.opname.startswith("LOAD_SUPER"):
                attributes.add(each.argval)
            elif each.opname == "STORE_SUBSCR" or (each.opname == "BINARY_OP" and each.argrepr.endswith("=")):
                attributes.add(IN_PLACE)
        for part in code.co_consts:
            if isinstance(part, CodeType):
                inner = named_in(part)
                globals_ |= inner.globals
                attributes |= inner.attributes
        known = _named[code] = Named(frozenset(globals_), frozenset(attributes))
    return known


def is_foreign(module: str) -> bool:
    """Whether what comes from the module of this name is not looked into."""
    return module.partition(".")[0] in FOREIGN


def is_installed(file: str) -> bool:
    """Whether a file belongs to Python, to a package that is installed, or to this program."""
    return file.startswith(PLACES) or any(place in file for place in PACKAGES)


def own_classes(kind: type) -> tuple[type, ...]:
    """A class and those it inherits from, as far as they are the user's own."""
    known = _own_classes.get(kind)
    if known is None:
        known = _own_classes[kind] = tuple(each for each in kind.__mro__ if _is_own(each))
    return known


def _is_own(kind: type) -> bool:
    module = str(vars(kind).get("__module__") or "")
    return not is_foreign(module) and not is_installed(getattr(sys.modules.get(module), "__file__", None) or "")


def functions_of(kind: type) -> tuple[FunctionType, ...]:
    """Those functions of a class that running it calls: of a module from `forward` on, of any other class all.

    Left out are those of torch and of other packages of `FOREIGN`.
    """
    known = _functions.get(kind)
    if known is None:
        known = _functions[kind] = tuple(_called(kind))
    return known


def _called(kind: type) -> Iterable[FunctionType]:
    spaces = [vars(each) for each in kind.__mro__ if not is_foreign(str(vars(each).get("__module__") or ""))]
    if issubclass(kind, nn.Module):
        waiting = list(CALLED)
    else:
        waiting = [name for space in spaces for name in space if name not in BEFORE]
    found: dict[FunctionType, None] = {}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for function in (each for space in spaces for each in _behind(space.get(name))):
            found[function] = None
            waiting.extend(named_in(function.__code__).attributes)
    return found


def _behind(attribute: Any) -> list[FunctionType]:
    """The functions that a method, a property, a static or class method are made of, and those they decorate."""
    if isinstance(attribute, property):
        parts: list[Any] = [attribute.fget, attribute.fset]
    else:
        parts = [attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute]
    functions = [each for each in parts if isinstance(each, FunctionType)]
    return [*functions, *(inner for each in functions for inner in _behind(getattr(each, "__wrapped__", None)))]
