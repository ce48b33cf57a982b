"""Keeps what a forward pass may move beside weights, modes and the common random state, and puts it back."""

from __future__ import annotations

import array
import functools
import io
import operator
import random
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import chain
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .hook import Hook
from .reach import (
    IN_PLACE,
    Named,
    Reached,
    functions_of,
    functions_through,
    is_foreign,
    is_installed,
    module_of,
    named_in,
    own_classes,
)

DEPTH = 5
"""So many objects in each other are looked into."""
MOST_PARTS = 5000
"""A model that holds more objects is not kept; numbers, strings and tuples of these do not count."""
MOST_IN_ONE = 1000
"""Nor is one with a container of more objects than this."""
MOST_NUMBERS = 2**26
"""In tensors and arrays that are no weights and buffers."""
ATOMS = frozenset(
    {bool, int, float, complex, str, bytes, range, slice, type(None), type(...), type(NotImplemented)}
    | {torch.Size, torch.dtype, torch.device, torch.layout, torch.memory_format, weakref.ReferenceType}
)
INTERNAL = frozenset(nn.Module().__dict__)
"""Attributes of every module."""
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""What is as wide as a number of so many bytes, and equal only where all its bits are."""
COUNTING = frozenset({*BITS.values(), torch.int8, torch.bool})
REGISTERED = ("_parameters", "_buffers", "_modules")
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
METHODS = FunctionType | functools._lru_cache_wrapper | property | staticmethod | classmethod | MemberDescriptorType
MISSING = object()
Handler = Callable[["Kept", Any, int, str], None]


class Unrepeatable(Exception):
    """A model holds what cannot be put back: it is not run once more."""


class Kept:
    """What a forward pass of a model may move, as it is now; `put_back` makes it so again.

    That is: attributes of its modules (and of modules in its lists), buffers, tensors, arrays, generators of random
    numbers, containers and objects of plain classes among these, class attributes, and the same in the globals and
    closures that the user's own code names from `forward` on. Raises `Unrepeatable` where an iterator is among them,
    or more than is to be copied.

    `registered`: whether buffers are kept; without, whoever asks lets the modules work on copies.
    """

    def __init__(self, model: nn.Module, registered: bool = True) -> None:
        self.modules: list[nn.Module] = []
        self.names: set[str] = set()
        """Names of attributes in the code that a pass runs, other than torch's."""
        self.names_in_place: set[str] = set()
        """Those in functions that hold a `x[0] = y` or a `x += y`."""
        self._registered = registered
        self._undo: list[tuple[Any, ...]] = []
        self._seen: set[Any] = set()
        self._waiting: deque[tuple[Any, int, str]] = deque()
        self._numbers = self._parts = 0
        _keep_modules(self, model, DEPTH, "")
        while self._waiting:
            self._look(*self._waiting.popleft())

    def put_back(self) -> None:
        problem: Exception | None = None
        for act, *about in self._undo:
            try:
                act(*about)
            except Exception as error:  # the others are put back all the same
                problem = problem or error
        if problem is not None:
            raise problem

    def later(self, act: Callable[..., Any], *about: Any) -> None:
        """So it is put back."""
        self._undo.append((act, *about))

    def wait(self, value: Any, depth: int, name: str) -> None:
        """To be looked into, unless there is nothing to see."""
        kind = type(value)
        if depth and kind not in ATOMS and not (kind is tuple and ATOMS.issuperset(map(type, value))):
            self._waiting.append((value, depth - 1, name))

    def wait_all(self, values: Iterable[Any], depth: int, name: str) -> None:
        for value in values:
            self.wait(value, depth, name)

    def is_new(self, key: Any) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def run(self, functions: Iterable[Reached], depth: int) -> None:
        """A pass may run these."""
        for function in functions:
            if isinstance(function, FunctionType):
                self.learn(named_in(function.__code__))
            self.wait(function, depth, getattr(function, "__name__", "?"))

    def learn(self, named: Named) -> None:
        self.names |= named.attributes
        if IN_PLACE in named.attributes:
            self.names_in_place |= named.attributes

    def count(self, numbers: int, name: str) -> None:
        self._numbers += numbers
        if self._numbers > MOST_NUMBERS:
            raise Unrepeatable(f"{self._numbers} numbers beside its weights, `{name}` among them, are too many to copy")

    def _look(self, value: Any, depth: int, name: str) -> None:
        handler = _handler_of(type(value))
        if handler is not None and self.is_new(id(value)):
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise Unrepeatable(f"it holds more than {MOST_PARTS} objects beside its modules, `{name}` among them")
            try:
                handler(self, value, depth, name)
            except Unrepeatable:
                raise
            except Exception as problem:
                raise Unrepeatable(f"`{name}` cannot be copied: {type(problem).__name__}: {problem}") from problem


# modules


def _keep_modules(kept: Kept, root: nn.Module, depth: int, _name: str) -> None:
    for module in root.modules():
        if not kept.is_new(id(module)) and module is not root:
            continue
        kept.modules.append(module)
        own = module.__dict__
        kept.later(_put_attributes, own, own.copy())
        for name in REGISTERED:
            if name in own:
                kept.later(_put_attributes, own[name], own[name].copy())
        for name in HOOKS:
            if own.get(name):
                kept.later(_put_ordered, own[name], own[name].copy())
                kept.wait_all((each for each in own[name].values() if type(each) is not Hook), depth, name)
        if kept._registered:
            _keep_registered(kept, module)
        for name in own.keys() - INTERNAL:
            kept.wait(own[name], depth, name)
        _keep_code(kept, type(module), depth)


def _keep_registered(kept: Kept, module: nn.Module) -> None:
    kept._seen.update(map(id, module._parameters.values()))
    for buffer in module._buffers.values():
        if buffer is None or is_lazy(buffer) or buffer.is_inference():
            continue
        if kept.is_new(id(buffer)):
            _keep_numbers(kept, buffer)


def _keep_code(kept: Kept, kind: type, depth: int) -> None:
    """The attributes of a class and what its methods name."""
    if not kept.is_new(kind):
        return
    for each in own_classes(kind):
        _keep_class(kept, each, depth, each.__name__)
    kept.run(functions_of(kind), depth)


def _keep_class(kept: Kept, kind: type, depth: int, _name: str) -> None:
    if own_classes(kind)[:1] != (kind,) or not kept.is_new((kind, "attributes")):
        return
    own = {name: value for name, value in vars(kind).items() if not name.startswith("__")}
    kept.later(_put_class, kind, own)
    for name, value in own.items():
        if not isinstance(value, METHODS):
            kept.wait(value, depth, f"{kind.__name__}.{name}")


# functions


def _keep_function(kept: Kept, function: FunctionType, depth: int, name: str) -> None:
    code = function.__code__
    if is_foreign(str(function.__globals__.get("__name__"))):
        kept.wait(getattr(function, "__wrapped__", None), depth + 1, name)
        return
    named = named_in(code)
    kept.learn(named)
    if is_installed(code.co_filename):
        return
    for each in named.globals:
        _keep_global(kept, function.__globals__, each, named, depth)
    for each in named.imported:
        module = module_of(each, function.__globals__)
        if module is not None:
            _keep_space(kept, module, named, depth)
    for place, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        if kept.is_new(id(cell)):
            content = _content_of(cell)
            kept.later(_put_cell, cell, content)
            kept.wait(content, depth, place)
    kept.wait_all((function.__defaults__ or ()), depth, name)
    kept.wait_all((function.__kwdefaults__ or {}).values(), depth, name)
    if function.__dict__:
        _keep_dict(kept, function.__dict__, depth, name)


def _keep_global(kept: Kept, scope: dict[str, Any], name: str, named: Named, depth: int) -> None:
    value = scope.get(name, MISSING)
    if isinstance(value, ModuleType):
        _keep_space(kept, value, named, depth)
        return
    if isinstance(value, type) and own_classes(value)[:1] == (value,):
        kept.run(functions_through(value, named, name), depth)
    if kept.is_new((id(scope), name)):
        kept.later(_put_name, scope, name, value)
        kept.wait(value, depth, name)


def _keep_space(kept: Kept, module: ModuleType, named: Named, depth: int) -> None:
    """What code names of a module that it imports."""
    space = vars(module)
    if is_foreign(module.__name__) or is_installed(getattr(module, "__file__", None) or ""):
        return
    if kept.is_new((id(module), named.attributes)):
        for each in named.attributes & space.keys():
            _keep_global(kept, space, each, named, depth)


def _content_of(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return MISSING


def _keep_method(kept: Kept, method: Any, depth: int, name: str) -> None:
    kept.wait(getattr(method, "__func__", None), depth + 1, name)
    if not isinstance(method.__self__, ModuleType):
        kept.wait(method.__self__, depth + 1, name)


def _keep_partial(kept: Kept, partial: functools.partial[Any], depth: int, name: str) -> None:
    kept.wait_all((partial.func, *partial.args, *partial.keywords.values()), depth + 1, name)


# values


def _keep_tensor(kept: Kept, tensor: Tensor, _depth: int, name: str) -> None:
    if not _is_writable(tensor):
        return
    kept.count(sum(part.numel() for part in _parts_of(tensor.detach())), name)
    _keep_numbers(kept, tensor)
    if tensor.is_leaf and tensor.grad is not None:
        kept.later(_put_gradient, tensor, tensor.grad)


def _keep_numbers(kept: Kept, tensor: Tensor) -> None:
    own = tensor.data
    kept.later(_put_tensor, tensor, own, [(part, part.clone()) for part in _parts_of(own)])


def _parts_of(tensor: Tensor) -> list[Tensor]:
    """The tensors that hold its numbers: of a sparse one its values and where they lie."""
    if tensor.layout == torch.sparse_coo:
        return [tensor._values(), tensor._indices()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.values(), tensor.crow_indices(), tensor.col_indices()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.values(), tensor.ccol_indices(), tensor.row_indices()]
    return [tensor]


def _is_writable(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers that a pass could write to: not where several of them are one."""
    if tensor.is_meta or tensor.is_inference():
        return False
    strided = tensor.layout == torch.strided
    return not (
        strided and any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    )


def _keep_array(kept: Kept, values: np.ndarray, _depth: int, name: str) -> None:
    if values.flags.writeable:
        kept.count(values.size, name)
        kept.later(_put_array, values, values.copy())


def _keep_generator(kept: Kept, generator: torch.Generator, _depth: int, _name: str) -> None:
    kept.later(generator.set_state, generator.get_state())


def _keep_bits(kept: Kept, bits: np.random.BitGenerator, _depth: int, _name: str) -> None:
    kept.later(setattr, bits, "state", bits.state)


def _keep_numpy(kept: Kept, drawn: np.random.Generator, depth: int, name: str) -> None:
    kept.wait(drawn.bit_generator, depth + 1, name)


def _keep_legacy(kept: Kept, drawn: np.random.RandomState, _depth: int, _name: str) -> None:
    kept.later(drawn.set_state, drawn.get_state())


def _keep_random(kept: Kept, drawn: random.Random, depth: int, name: str) -> None:
    if not isinstance(drawn, random.SystemRandom):
        kept.later(drawn.setstate, drawn.getstate())
    _keep_object(kept, drawn, depth, name)


# containers


def _keep_list(kept: Kept, values: list[Any], depth: int, name: str) -> None:
    content = list.copy(values)
    kept.later(_put_list, values, content)
    _keep_parts(kept, content, depth, name)
    _keep_object(kept, values, depth, name)


def _keep_dict(kept: Kept, values: dict[Any, Any], depth: int, name: str) -> None:
    ordered = isinstance(values, OrderedDict)
    content: Any = OrderedDict(values) if ordered else dict.copy(values)
    kept.later(_put_ordered if ordered else _put_dict, values, content)
    _keep_parts(kept, content.values(), depth, name)
    _keep_object(kept, values, depth, name)


def _keep_set(kept: Kept, values: set[Any], depth: int, name: str) -> None:
    kept.later(_put_set, values, set.copy(values))
    _keep_object(kept, values, depth, name)


def _keep_deque(kept: Kept, values: deque[Any], depth: int, name: str) -> None:
    content = list(values)
    kept.later(_put_deque, values, content)
    _keep_parts(kept, content, depth, name)
    _keep_object(kept, values, depth, name)


def _keep_bytes(kept: Kept, values: Any, _depth: int, name: str) -> None:
    kept.count(len(values), name)
    kept.later(operator.setitem, values, slice(None), values[:])


def _keep_tuple(kept: Kept, values: tuple[Any, ...], depth: int, name: str) -> None:
    _keep_parts(kept, values, depth, name)
    _keep_object(kept, values, depth, name)


def _keep_parts(kept: Kept, values: Iterable[Any], depth: int, name: str) -> None:
    kinds = set(map(type, values)) - ATOMS
    if tuple in kinds and ATOMS.issuperset(
        map(type, chain.from_iterable(each for each in values if type(each) is tuple))
    ):
        kinds.remove(tuple)
    kinds = {kind for kind in kinds if _handler_of(kind) is not None}
    if not kinds or not depth:
        return
    parts = [value for value in values if type(value) in kinds]
    if len(parts) > MOST_IN_ONE:
        what = "tensors" if any(isinstance(part, Tensor | np.ndarray) for part in parts) else "objects"
        raise Unrepeatable(f"`{name}` holds more than {MOST_IN_ONE} {what}")
    kept.wait_all(parts, depth, name)


# objects


def _keep_object(kept: Kept, value: Any, depth: int, name: str) -> None:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    if own:
        kept.later(_put_dict, own, own.copy())
        _keep_parts(kept, own.values(), depth, name)
    kind = type(value)
    for slot in _slots_of(kind):
        content = _in_slot(slot, value)
        kept.later(_put_slot, slot, value, content)
        kept.wait(content, depth, name)
    if own_classes(kind):
        _keep_code(kept, kind, depth)


def _slots_of(kind: type) -> list[MemberDescriptorType]:
    spaces = [vars(each) for each in kind.__mro__ if "__slots__" in vars(each)]
    return [each for space in spaces for each in space.values() if isinstance(each, MemberDescriptorType)]


def _in_slot(slot: MemberDescriptorType, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:
        return MISSING


def _keep_file(_kept: Kept, file: io.IOBase, _depth: int, name: str) -> None:
    if not file.closed and file.readable():
        raise Unrepeatable(f"`{name}` is a file that a pass may read on in")


def _keep_remembered(_kept: Kept, function: Any, _depth: int, name: str) -> None:
    inner = getattr(function, "__wrapped__", None)
    code = getattr(inner, "__code__", None)
    if code is None or not (is_foreign(str(inner.__module__)) or is_installed(code.co_filename)):
        raise Unrepeatable(f"`{name}` remembers its results (`functools.cache`), which nothing puts back")


def _cannot(_kept: Kept, value: Any, _depth: int, name: str) -> None:
    kind = type(value).__name__
    raise Unrepeatable(f"`{name}` is an iterator ({kind}), which a pass may draw on and nothing puts back")


HANDLERS: tuple[tuple[type | tuple[type, ...], Handler | None], ...] = (
    (nn.Module, _keep_modules),
    (Tensor, _keep_tensor),
    (np.ndarray, _keep_array),
    (torch.Generator, _keep_generator),
    (np.random.Generator, _keep_numpy),
    (np.random.BitGenerator, _keep_bits),
    (np.random.RandomState, _keep_legacy),
    (random.Random, _keep_random),
    (list, _keep_list),
    (dict, _keep_dict),
    (set, _keep_set),
    (deque, _keep_deque),
    ((bytearray, array.array), _keep_bytes),
    (tuple, _keep_tuple),
    (FunctionType, _keep_function),
    (functools._lru_cache_wrapper, _keep_remembered),
    ((MethodType, BuiltinFunctionType, MethodWrapperType), _keep_method),
    (functools.partial, _keep_partial),
    (type, _keep_class),
    ((Enum, ModuleType, Hook), None),
    (io.IOBase, _keep_file),
    (SimpleNamespace, _keep_object),
)
_handlers: weakref.WeakKeyDictionary[type, Handler | None] = weakref.WeakKeyDictionary()


def _handler_of(kind: type) -> Handler | None:
    if kind not in _handlers:
        _handlers[kind] = _found_handler(kind)
    return _handlers[kind]


def _found_handler(kind: type) -> Handler | None:
    for kinds, handler in HANDLERS:
        if issubclass(kind, kinds):
            return handler
    if hasattr(kind, "__next__"):
        return _cannot
    module = str(getattr(kind, "__module__", ""))
    return None if is_foreign(module) and module != "argparse" else _keep_object


# how it is put back: what is as it was is left alone, another thread may be at it


def _unmoved(values: Any, content: Any) -> bool:
    return len(values) == len(content) and all(map(operator.is_, values, content))


def _put_attributes(own: dict[str, Any], content: dict[str, Any]) -> None:
    if len(own) != len(content) or own.keys() != content.keys():
        for name in own.keys() - content.keys():
            del own[name]
    own.update(content)


def _put_dict(values: dict[Any, Any], content: dict[Any, Any]) -> None:
    if not (_unmoved(values, content) and _unmoved(values.values(), content.values())):
        dict.clear(values)
        dict.update(values, content)


def _put_ordered(values: OrderedDict[Any, Any], content: OrderedDict[Any, Any]) -> None:
    if not (_unmoved(values, content) and _unmoved(values.values(), content.values())):
        OrderedDict.clear(values)
        OrderedDict.update(values, content)


def _put_list(values: list[Any], content: list[Any]) -> None:
    if not _unmoved(values, content):
        list.__setitem__(values, slice(None), content)


def _put_set(values: set[Any], content: set[Any]) -> None:
    if values != content:
        set.clear(values)
        set.update(values, content)


def _put_deque(values: deque[Any], content: list[Any]) -> None:
    if not _unmoved(values, content):
        deque.clear(values)
        deque.extend(values, content)


def _put_tensor(tensor: Tensor, own: Tensor, parts: list[tuple[Tensor, Tensor]]) -> None:
    """Through `data`: a backward pass still to come must not see a new version."""
    if not lies_on(tensor, own):
        tensor.data = own
    for part, copy in parts:
        put_numbers(part, copy)


def lies_on(tensor: Tensor, own: Tensor) -> bool:
    """Whether the two share their memory and read it alike."""
    if tensor.layout != own.layout or tensor.shape != own.shape:
        return False
    if tensor.layout == torch.strided:
        return tensor.data_ptr() == own.data_ptr() and tensor.stride() == own.stride()
    if tensor.layout == torch.sparse_coo and tensor.is_coalesced() != own.is_coalesced():
        return False
    ones, others = _parts_of(tensor.detach()), _parts_of(own)
    if len(ones) == 1:
        return True
    return all(lies_on(one, other) for one, other in zip(ones, others, strict=True))


def put_numbers(own: Tensor, copy: Tensor) -> None:
    """Writes only where something differs: the memory may be mapped read-only. A device has none such, and does not
    wait for an answer."""
    if own.device.type != "cpu" or own.layout != torch.strided or not same_bits(own, copy):
        own.copy_(copy)


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one type hold the same, whatever is no number or has no sign (a CPU–GPU sync point)."""
    return torch.equal(_in_bits(one), _in_bits(other))


def _in_bits(tensor: Tensor) -> Tensor:
    if tensor.dtype in COUNTING:
        return tensor
    if tensor.is_quantized:
        return tensor.int_repr()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return tensor.view(BITS[tensor.itemsize])


def _put_array(values: np.ndarray, content: np.ndarray) -> None:
    if not _same_array(np.asarray(values), np.asarray(content)):
        np.copyto(values, content)


def _same_array(values: np.ndarray, content: np.ndarray) -> bool:
    if values.shape != content.shape or values.dtype != content.dtype:
        return False
    if values.dtype.hasobject:
        return values.dtype.kind == "O" and all(map(operator.is_, values.flat, content.flat))
    size = values.dtype.itemsize
    kind = f"u{size}" if size in BITS else f"V{size}"
    return values.size == 0 or size == 0 or bool((values.view(kind) == content.view(kind)).all())


def _put_gradient(tensor: Tensor, gradient: Tensor) -> None:
    if tensor.grad is not gradient:
        tensor.grad = gradient


def _put_name(scope: dict[str, Any], name: str, value: Any) -> None:
    if value is MISSING:
        scope.pop(name, None)
    elif scope.get(name, MISSING) is not value:
        scope[name] = value


def _put_cell(cell: Any, content: Any) -> None:
    if _content_of(cell) is content:
        return
    if content is MISSING:
        del cell.cell_contents
    else:
        cell.cell_contents = content


def _put_slot(slot: MemberDescriptorType, value: Any, content: Any) -> None:
    if _in_slot(slot, value) is content:
        return
    if content is MISSING:
        slot.__delete__(value)
    else:
        slot.__set__(value, content)


def _put_class(kind: type, own: dict[str, Any]) -> None:
    now = vars(kind)
    for name in [each for each in now if each not in own and not each.startswith("__")]:
        type.__delattr__(kind, name)
    for name, value in own.items():
        if now.get(name, MISSING) is not value:
            type.__setattr__(kind, name, value)
