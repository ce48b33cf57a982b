"""What code may reach: the globals and attributes it names, and the functions of a class that a call of it runs."""

from __future__ import annotations

import dis
import os
import sys
import sysconfig
import weakref
from collections.abc import Iterable
from functools import _lru_cache_wrapper
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from torch import nn
from torch.autograd import Function

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
MAKING = ("__init__", "__new__", "__post_init__")
GLOBAL = frozenset({"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"})
ATTRIBUTE = frozenset({"LOAD_ATTR", "STORE_ATTR", "DELETE_ATTR", "LOAD_METHOD"})


Reached: TypeAlias = "FunctionType | _lru_cache_wrapper[Any]"
"""A function, or one that remembers its results."""
IN_PLACE = "="
"""Stands among the names for `x[0] = y` and `x += y`."""


class Named(NamedTuple):
    """The names of globals and of attributes in a piece of code, `IN_PLACE` among these."""

    globals: frozenset[str]
    attributes: frozenset[str]
    called: frozenset[str]
    """Those of either that are called."""
    imported: frozenset[str]


_named: dict[CodeType, Named] = {}
_functions: weakref.WeakKeyDictionary[type, tuple[Reached, ...]] = weakref.WeakKeyDictionary()
_through: weakref.WeakKeyDictionary[type, dict[tuple[frozenset[str], bool], tuple[Reached, ...]]]
_through = weakref.WeakKeyDictionary()
_own_classes: weakref.WeakKeyDictionary[type, tuple[type, ...]] = weakref.WeakKeyDictionary()


def named_in(code: CodeType) -> Named:
    """What a piece of code names, with the functions that are written inside it."""
    known = _named.get(code)
    if known is None:
        known = _named[code] = _read(code)
    return known


def _read(code: CodeType) -> Named:
    names: list[set[str]] = [set(), set(), set(), set()]
    globals_, attributes, called, imported = names
    for each in dis.get_instructions(code):
        if each.opname in GLOBAL:
            globals_.add(each.argval)
        elif each.opname in ATTRIBUTE or each.opname.startswith("LOAD_SUPER") or each.opname == "IMPORT_FROM":
            attributes.add(each.argval)
        elif each.opname == "IMPORT_NAME":
            imported.add(each.argval)
        elif each.opname == "STORE_SUBSCR" or (each.opname == "BINARY_OP" and each.argrepr.endswith("=")):
            attributes.add(IN_PLACE)
        if "NULL" in each.argrepr or each.opname in ("LOAD_METHOD", "IMPORT_FROM"):
            called.add(each.argval)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            for own, inner in zip(names, named_in(part), strict=True):
                own |= inner
    return Named(*map(frozenset, names))


def module_of(name: str, scope: dict[str, Any]) -> ModuleType | None:
    """What a line `import name` in the code of this module says, if it was imported already."""
    package = str(scope.get("__package__") or "")
    return sys.modules.get(name) or sys.modules.get(f"{package}.{name}" if name else package)


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


def functions_of(kind: type) -> tuple[Reached, ...]:
    """Those functions of a class that running it calls: of a module from `forward` on, of any other class all.

    Left out are those of torch and of other packages of `FOREIGN`.
    """
    known = _functions.get(kind)
    if known is None:
        known = _functions[kind] = tuple(_called(_spaces_of(kind), _begun(kind)))
    return known


def functions_through(kind: type, named: Named, name: str) -> tuple[Reached, ...]:
    """Those functions of a class that code runs which names the class: by their names, or as it makes one."""
    made = name in named.called
    known = _through.setdefault(kind, {})
    functions = known.get((named.attributes, made))
    if functions is None:
        waiting = list(named.attributes)
        if made:
            waiting += [*MAKING, *_begun(kind)]
        if issubclass(kind, Function) and "apply" in named.attributes:
            waiting += ["forward", "setup_context", "vmap"]
        functions = known[named.attributes, made] = tuple(_called(_spaces_of(kind), waiting))
    return functions


def _spaces_of(kind: type) -> list[Any]:
    return [vars(each) for each in kind.__mro__ if not is_foreign(str(vars(each).get("__module__") or ""))]


def _begun(kind: type) -> list[str]:
    if issubclass(kind, nn.Module):
        return list(CALLED)
    return [name for space in _spaces_of(kind) for name in space if name not in BEFORE]


def _called(spaces: list[Any], waiting: list[str]) -> Iterable[Reached]:
    found: dict[Reached, None] = {}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for function in (each for space in spaces for each in _behind(space.get(name))):
            found[function] = None
            if isinstance(function, FunctionType):
                waiting.extend(named_in(function.__code__).attributes)
    return found


def _behind(attribute: Any) -> list[Reached]:
    """The functions that a method, a property, a static or class method are made of, and those they decorate."""
    if isinstance(attribute, property):
        parts: list[Any] = [attribute.fget, attribute.fset]
    else:
        parts = [attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute]
    functions = [each for each in parts if isinstance(each, FunctionType | _lru_cache_wrapper)]
    return [*functions, *(inner for each in functions for inner in _behind(getattr(each, "__wrapped__", None)))]
