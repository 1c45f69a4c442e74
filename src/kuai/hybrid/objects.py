"""Plain objects: what is a user's own, where its attributes are, and what its class defines."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.tree import Node
from kuai.hybrid.places import is_library_file

SCALARS = (bool, int, float, complex, str, bytes, type(None))
_BUILT_IN = (
    *(*SCALARS, list, tuple, dict, set, frozenset, slice, range),
    *(types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType),
    *(types.MappingProxyType, property, super, BaseException),
    *(Node, Holder, jax.Array, np.ndarray, np.generic, type),
)
# What converted code follows by itself, and what says nothing about a value.
_FOLLOWED = frozenset(
    [
        *("__call__", "__getitem__", "__getattr__", "__setattr__", "__delattr__", "__hash__"),
        *("__repr__", "__str__", "__format__", "__sizeof__", "__dir__", "__del__", "__replace__"),
        *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__copy__", "__deepcopy__"),
        *("__reduce__", "__getstate__", "__setstate__", "__init_subclass__", "__class_getitem__"),
    ]
)
_MAKERS = frozenset(["__init__", "__new__", "__post_init__"])


def is_array_like(value: Any) -> bool:
    return isinstance(value, (jax.Array, np.ndarray))


def is_users(kind: type) -> bool:
    """Whether a class is written in a file of the user's, a notebook or a REPL."""
    if kind.__module__ in ("builtins", *sys.builtin_module_names):
        return kind is types.SimpleNamespace
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return not (file and is_library_file(file)) or kind is types.SimpleNamespace


def is_users_module(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    known = module.__name__.partition(".")[0] in sys.stdlib_module_names
    return not known and (file is None or not is_library_file(file))


def is_plain(value: Any) -> bool:
    """Whether a value is an object whose attributes are its own affair: no array, Block, …."""
    return not isinstance(value, _BUILT_IN)


def functions_of(kind: type) -> dict[str, types.FunctionType]:
    """The dunder methods that Python calls by itself: operators, `__enter__`, `__iter__`, …."""
    found = {
        name: inspect.getattr_static(kind, name)
        for base in kind.__mro__
        for name in vars(base)
        if name.startswith("__") and name.endswith("__") and name not in (_FOLLOWED | _MAKERS)
    }
    return {name: f for name, f in found.items() if isinstance(f, types.FunctionType)}


def makers_of(kind: type) -> Iterator[types.FunctionType]:
    """The functions that run when an instance is made."""
    for name in sorted(_MAKERS):
        function = inspect.getattr_static(kind, name, None)
        function = function.__func__ if isinstance(function, staticmethod) else function
        if isinstance(function, types.FunctionType):
            yield function


class Slots:
    """The attributes of an object that are in slots, as a namespace.

    Args:
        owner: the object, which this keeps alive.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def keys(self) -> set[str]:
        kinds = (vars(kind).get("__slots__", ()) for kind in type(self._owner).__mro__)
        names = {n for ns in kinds for n in ([ns] if isinstance(ns, str) else ns)}
        return {name for name in names if name in self}

    def items(self) -> list[tuple[str, Any]]:
        return [(name, self[name]) for name in sorted(self.keys())]

    def __contains__(self, name: object) -> bool:
        return self.get(str(name), _UNSET) is not _UNSET

    def __getitem__(self, name: str) -> Any:
        value = self.get(name, _UNSET)
        if value is _UNSET:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        slot = self._slot(name)
        if slot is None:
            return default
        try:
            return slot.__get__(self._owner, type(self._owner))
        except AttributeError:
            return default

    def __setitem__(self, name: str, value: Any) -> None:
        slot = self._slot(name)
        if slot is None:
            raise KeyError(name)
        slot.__set__(self._owner, value)

    def pop(self, name: str, default: Any = None) -> Any:
        value = self.get(name, default)
        slot = self._slot(name)
        if slot is not None and name in self:
            slot.__delete__(self._owner)
        return value

    def _slot(self, name: str) -> Any:
        found = inspect.getattr_static(type(self._owner), name, None)
        return found if isinstance(found, types.MemberDescriptorType) else None


_UNSET = object()


def attributes_of(owner: Any) -> Any:
    """The attributes that an object itself has, as a namespace that can be changed."""
    own = getattr(owner, "__dict__", None)
    return Slots(owner) if own is None else own
