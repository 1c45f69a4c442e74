"""What converted code reads and changes: attributes and items, with what must be noted of it."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
import types
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.tree import Node
from kuai.errors import ImpureCallError, MutationError, ValueNeededError
from kuai.hybrid.following import follow
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.objects import attributes_of, is_users_module
from kuai.hybrid.places import Where, is_library_file, told_place
from kuai.hybrid.trace import Trace, current
from kuai.hybrid.undefined import Undefined, used
from kuai.hybrid.watching import changed_inside

_ABSENT = object()
_ARRAYS = (jax.Array, np.ndarray, np.generic, Holder)
_BUILT_IN = (str, bytes, int, float, complex, tuple, list, dict, set, frozenset, slice, range)
_FUNCTIONS = (types.MethodType, types.BuiltinFunctionType, property)
_PLAIN = (*_ARRAYS, *_BUILT_IN, *_FUNCTIONS, type(None))
_CHANGEABLE = (list, dict, set, deque)


def attribute(owner: Any, name: str) -> Any:
    """`owner.name`."""
    trace = current()
    if trace is None or isinstance(owner, _PLAIN):
        return _of_plain(trace, owner, name)
    if isinstance(owner, types.ModuleType):
        return _of_module(trace, owner, name)
    if isinstance(owner, types.FunctionType):
        return _of_function(trace, owner, name)
    if isinstance(owner, super):
        _note_class(trace, *_above(owner), name)
        return getattr(owner, name)
    if isinstance(owner, type):
        return _of_class(trace, owner, name)
    return _of_object(trace, owner, name)


def _of_plain(trace: Trace | None, owner: Any, name: str) -> Any:
    """Of what holds nothing to guard, but for a user's subclass of a built-in type."""
    getter = inspect.getattr_static(type(owner), "__getattr__", None)
    if trace is not None and isinstance(getter, types.FunctionType) and not hasattr(owner, name):
        return follow(getter)(owner, name)
    return getattr(used(owner), name)


def _of_module(trace: Trace, module: types.ModuleType, name: str) -> Any:
    value = getattr(module, name)
    if name in vars(module) and is_users_module(module):
        trace.guards.name(vars(module), f"{module.__name__}.", name)
    return value


def _of_function(trace: Trace, function: types.FunctionType, name: str) -> Any:
    if name in function.__dict__ and not is_library_file(function.__code__.co_filename):
        trace.guards.name(function.__dict__, f"{function.__qualname__}.", name)
    return getattr(function, name)


def _above(owner: Any) -> tuple[type, type]:
    """(the class of the object of a `super()`, the class after which it looks)."""
    return owner.__self_class__, owner.__thisclass__


def _of_class(trace: Trace, kind: type, name: str) -> Any:
    raw = inspect.getattr_static(type(kind), name, _ABSENT)
    if isinstance(raw, property) and raw.fget is not None:
        _note_class(trace, type(kind), None, name)
        return follow(raw.fget)(kind)
    _note_class(trace, kind, None, name)
    return getattr(kind, name)


def _of_object(trace: Trace, owner: Any, name: str) -> Any:
    if isinstance(owner, Undefined):
        return getattr(owner, name)
    raw = inspect.getattr_static(type(owner), name, _ABSENT)
    if isinstance(raw, property) and raw.fget is not None:
        _note_class(trace, type(owner), None, name)
        return follow(raw.fget)(owner)
    if isinstance(raw, functools.cached_property):
        getattr(owner, name)  # from here on it is an attribute of the object itself
    own = _of_block if isinstance(owner, Node) else _of_plain_object
    if own(trace, owner, name):
        return getattr(owner, name)
    _note_class(trace, type(owner), None, name)
    if name == "__dict__" or isinstance(getattr(type(raw), "__get__", None), types.FunctionType):
        trace.guards.escapes(owner if name == "__dict__" else raw)
    return _computed(owner, name) if raw is _ABSENT else getattr(owner, name)


def _of_block(trace: Trace, owner: Any, name: str) -> bool:
    """Whether it is the block's own attribute; the epoch covers all but what stands in it."""
    found = name in owner.__dict__ or name in owner._kuai.slots
    if found:
        trace.guards.value(getattr(owner, name), f"{type(owner).__name__}.{name}")
    return found


def _of_plain_object(trace: Trace, owner: Any, name: str) -> bool:
    """Whether it is the object's own attribute."""
    own = attributes_of(owner)
    if not trace.is_made_here(owner):
        note = trace.guards.name if name in own else trace.guards.absent
        note(own, f"{type(owner).__name__}.", name)
    return name in own


def _computed(owner: Any, name: str) -> Any:
    """An attribute that only a `__getattr__` of the user's may know."""
    getter = inspect.getattr_static(type(owner), "__getattr__", None)
    if isinstance(getter, types.FunctionType) and not isinstance(owner, Node):
        return follow(getter)(owner, name)
    return getattr(owner, name)


def _note_class(trace: Trace, kind: type, after: type | None, name: str) -> None:
    trace.guards.class_attribute(kind, name, after)


def matched(subject: Any) -> Any:
    """What a `match` looks into, which no operator sees."""
    escaping(subject)
    return subject


def escaping(*values: Any) -> None:
    """Before code that is not converted is given values: it may read all of them."""
    trace = current()
    if trace is not None:
        for value in values:
            trace.guards.escapes(value)
            trace.watch(value)


def imported(read: Callable[[], Any], module: str, package: str | None, name: str) -> None:
    """After `from module import name` inside a function."""
    trace = current()
    source = sys.modules.get(importlib.util.resolve_name(module, package))
    if trace is not None and source is not None and vars(source).get(name, _ABSENT) is read():
        _of_module(trace, source, name)


def item(container: Any, index: Any, where: Where) -> Any:
    """`container[index]`."""
    trace = current()
    if trace is not None and is_traced(index) and isinstance(container, (list, tuple, dict, str)):
        raise ValueNeededError(
            f"{told_place(where)}an array is used as an index or key of a "
            f"{type(container).__name__}, which Python holds; put the values in an array "
            "(jnp.stack) and index that, or loop over the list itself"
        )
    if trace is not None and container is os.environ:
        raise ImpureCallError(
            f"{told_place(where)}os.environ is read in a compiled forward, where it would be read "
            "once, while compiling; read it in __init__ or pass its value as an argument"
        )
    getter = inspect.getattr_static(type(container), "__getitem__", None)
    if trace is not None and isinstance(getter, types.FunctionType):
        return follow(getter)(container, index)
    return used(container)[index]


def made(container: Any) -> Any:
    """A list, dict or set that converted code makes."""
    trace = current()
    return container if trace is None else trace.made(container)


def setting(owner: Any, name: str, where: Where) -> None:
    """Before `owner.name = ...`. Blocks see to it themselves."""
    trace = current()
    if trace is None or isinstance(owner, (Node, *_PLAIN)):
        return
    if not trace.is_made_here(owner):
        raise MutationError(
            f"{told_place(where)}forward sets the attribute {name!r} of a {type(owner).__name__} "
            "that outlives the call: that would happen once, while compiling; keep it in "
            "kuai.State on a block, or return it"
        )
    trace.log(owner, name)


def rebinding(read: Callable[[], Any]) -> None:
    """Before a nested function assigns a variable of the function around it."""
    trace = current()
    cell = (read.__closure__ or (None,))[0]
    if trace is not None and cell is not None and trace.depth_of(cell) < trace.depth:
        trace.log(cell, "")


def changing(container: Any, where: Where, how: str = "an assignment") -> None:
    """Before an item of a container is set, or it grows."""
    trace = current()
    if trace is None:
        return
    if isinstance(container, _CHANGEABLE) and trace.depth > trace.depth_of(container):
        raise changed_inside(container, how, where)
    escaping(container)  # its own __setitem__ or __iadd__ may do anything


def consuming(iterator: Any, where: Where) -> None:
    """Before items are taken from what may be an iterator."""
    trace = current()
    if trace is None or not hasattr(type(iterator), "__next__"):
        return
    if id(iterator) in trace.guards.iterators:
        raise MutationError(
            f"{told_place(where)}forward takes from an iterator that outlives the call: that would "
            "happen once, while compiling, not on every call; pass the item as an argument, or "
            "keep a list"
        )
    if trace.is_made_here(iterator) and trace.depth > trace.depth_of(iterator):
        raise changed_inside(iterator, "an item is taken", where)


def outside(name: str, is_global: bool, where: Where) -> None:
    """Before a global or an enclosing function's variable is assigned."""
    if current() is not None:
        kind = "global" if is_global else "enclosing function's variable"
        raise MutationError(
            f"{told_place(where)}forward assigns the {kind} `{name}`: "
            "that would happen once, while compiling, not on every call; keep it in kuai.State on "
            "a block, or return it"
        )
