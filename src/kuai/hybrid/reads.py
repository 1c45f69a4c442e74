"""What converted code reads and changes: attributes and items, with what must be noted of it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kuai.core.internals import BlockMeta
from kuai.core.parameter import Holder
from kuai.core.tree import Node
from kuai.errors import MutationError, ValueNeededError
from kuai.hybrid.following import follow, is_library_file
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.trace import Trace, current
from kuai.hybrid.undefined import Undefined, used

_ABSENT = object()
_ARRAYS = (jax.Array, np.ndarray, np.generic, Holder)
_BUILT_IN = (str, bytes, int, float, complex, tuple, list, dict, set, frozenset, slice, range)
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, super, property)
_PLAIN = (*_ARRAYS, *_BUILT_IN, *_FUNCTIONS, type(None))
_CHANGEABLE = (list, dict, set)


def attribute(owner: Any, name: str) -> Any:
    """`owner.name`."""
    trace = current()
    if trace is None or isinstance(owner, _PLAIN):
        return getattr(used(owner), name)
    if isinstance(owner, types.ModuleType):
        return _of_module(trace, owner, name)
    if isinstance(owner, type):
        value = getattr(owner, name)
        _note_class(trace, owner, name)
        return value
    return _of_object(trace, owner, name)


def _of_module(trace: Trace, module: types.ModuleType, name: str) -> Any:
    value = getattr(module, name)
    file = getattr(module, "__file__", None)
    if name in vars(module) and file is not None and not is_library_file(file):
        trace.guards.name(vars(module), f"{module.__name__}.", name)
    return value


def _of_object(trace: Trace, owner: Any, name: str) -> Any:
    if isinstance(owner, Undefined):
        return getattr(owner, name)
    raw = inspect.getattr_static(type(owner), name, _ABSENT)
    if isinstance(raw, property) and raw.fget is not None:
        _note_class(trace, type(owner), name)
        return follow(raw.fget)(owner)
    value = getattr(owner, name)
    own = getattr(owner, "__dict__", {})
    if not isinstance(owner, Node):
        if name in own:
            if not trace.is_made_here(owner):
                trace.guards.name(own, f"{type(owner).__name__}.", name)
            return value
        if raw is not _ABSENT and not trace.is_made_here(owner):
            trace.guards.absent(own, f"{type(owner).__name__}.", name)
    elif name in own or name in owner._kuai.slots:  # type: ignore[attr-defined]  # a Block
        trace.guards.value(value, f"{type(owner).__name__}.{name}")
        return value
    if raw is not _ABSENT:
        _note_class(trace, type(owner), name)
    return value


def _note_class(trace: Trace, kind: type, name: str) -> None:
    """Guard what a class of the user's holds; the epoch covers the classes of blocks."""
    for owner in kind.__mro__:
        if name in vars(owner):
            if not isinstance(owner, BlockMeta) and _is_users(owner):
                trace.guards.name(vars(owner), f"{owner.__name__}.", name)
            return


def _is_users(kind: type) -> bool:
    import sys

    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return kind.__module__ != "builtins" and not (file and is_library_file(file))


def item(container: Any, index: Any, where: Where) -> Any:
    """`container[index]`."""
    trace = current()
    if trace is not None and is_traced(index) and isinstance(container, (list, tuple, dict, str)):
        raise ValueNeededError(
            f"{told_place(where)}an array is used as an index or key of a "
            f"{type(container).__name__}, which Python holds; put the values in an array "
            "(jnp.stack) and index that, or loop over the list itself"
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
    if trace is None or isinstance(owner, Node) or not hasattr(owner, "__dict__"):
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
    if trace is None or not isinstance(container, _CHANGEABLE):
        return
    if trace.depth > trace.depth_of(container):
        kind = next(kind.__name__ for kind in _CHANGEABLE if isinstance(container, kind))
        raise MutationError(
            f"{told_place(where)}a {kind} made outside a branch or loop on arrays is changed in "
            f"it ({how}), which cannot be compiled: it would change once, not on every trip; write "
            "into an array made before with x.at[i].set(...), or assign a new tuple or dict to the "
            "variable"
        )


def outside(name: str, is_global: bool, where: Where) -> None:
    """Before a global or an enclosing function's variable is assigned."""
    if current() is not None:
        kind = "global" if is_global else "enclosing function's variable"
        raise MutationError(
            f"{told_place(where)}forward assigns the {kind} `{name}`: "
            "that would happen once, while compiling, not on every call; keep it in kuai.State on "
            "a block, or return it"
        )
