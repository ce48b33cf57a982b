"""Looks whether every worker of a DataLoader is given the same seed, for a generator that its data set draws from."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

DEEPEST = 4
MOST_ITEMS = 16
BEFORE_WORKERS = frozenset({"__init__", "__post_init__", "__new__", "__len__", "__repr__"})
LIBRARIES = frozenset({"torch", "np", "numpy", "random", "manual_seed", "seed"})
"""All that a function calls which does nothing but seed."""
DRAWS = {
    "torch": frozenset({"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli", "normal"}),
    "numpy": frozenset(
        {"rand", "randn", "randint", "uniform", "normal", "choice", "permutation", "shuffle", "random_sample"}
    ),
    "random": frozenset({"randint", "uniform", "choice", "choices", "sample", "shuffle", "gauss", "randrange"}),
}
"""What draws from a library's own generator, but for `random.random`, whose two names are one."""
NOT_LOOKED_AT = frozenset({"torch", "numpy", "builtins"})
"""Packages whose classes a user's data set is built of."""


def seeded_alike(seeding: Any, data: Any) -> list[str]:
    """The libraries whose generators `seeding`, called in each worker, gives one seed, and that the data draws from."""
    seeded = set(_seeded(seeding)) if isinstance(seeding, FunctionType) else set()
    return sorted(seeded & {library for each in _parts(data) for library in _drawn(type(each))}) if seeded else []


def names_in(code: CodeType) -> Iterator[str]:
    """The names of all that a function, and what is defined inside of it, calls or reads."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from names_in(part)


def _seeded(seeding: FunctionType) -> Iterator[str]:
    """What a function seeds that reads neither its worker's number nor anything but a whole number."""
    code = seeding.__code__
    if _reads_its_arguments(code) or not code.co_argcount:
        return
    read = {name: seeding.__globals__[name] for name in code.co_names if isinstance(seeding.__globals__.get(name), int)}
    kept = [cell.cell_contents for cell in seeding.__closure__ or ()]
    names = set(code.co_names) - set(read)
    fixed = bool(read or kept) or any(type(value) is int for value in code.co_consts) or _has_small_number(code)
    if not fixed or not names <= LIBRARIES or not all(type(value) is int for value in kept):
        return
    if {"torch", "manual_seed"} <= names:
        yield "torch"
    if "seed" in names and names & {"np", "numpy"}:
        yield "numpy"
    elif {"random", "seed"} <= names:
        yield "random"


def _reads_its_arguments(code: CodeType) -> bool:
    own = set(code.co_varnames[: code.co_argcount])
    read = {
        name
        for step in dis.get_instructions(code)
        if step.opname.startswith("LOAD_FAST")
        for name in (step.argval if isinstance(step.argval, tuple) else (step.argval,))
    }
    return bool(own & (read | set(code.co_cellvars)))


def _has_small_number(code: CodeType) -> bool:
    """Where Python keeps small numbers beside the constants."""
    return any(step.opname == "LOAD_SMALL_INT" for step in dis.get_instructions(code))


def _parts(owner: Any, depth: int = 0) -> Iterator[Any]:
    """An object and what it is made of."""
    if isinstance(owner, list | tuple):
        for part in owner[:MOST_ITEMS]:
            yield from _parts(part, depth)
    elif hasattr(owner, "__dict__") and not isinstance(owner, type) and depth < DEEPEST:
        yield owner
        for value in list(vars(owner).values()):
            yield from _parts(value, depth + 1)


def _drawn(kind: type) -> Iterator[str]:
    """The libraries from whose own generators a method of the class draws."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in NOT_LOOKED_AT:
            continue
        for method, value in vars(base).items():
            plain = getattr(value, "__func__", value)
            if isinstance(plain, FunctionType) and method not in BEFORE_WORKERS:
                yield from _drawn_by(set(names_in(plain.__code__)))


def _drawn_by(names: set[str]) -> Iterator[str]:
    if "generator" in names:
        return
    if "torch" in names and names & DRAWS["torch"]:
        yield "torch"
    if names & {"np", "numpy"} and "random" in names and names & DRAWS["numpy"]:
        yield "numpy"
    elif "random" in names and names & DRAWS["random"]:
        yield "random"
