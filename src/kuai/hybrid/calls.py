"""What converted code calls: user functions converted, built-ins replaced, the rest as is."""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
from collections import deque
from collections.abc import Callable
from typing import Any

from kuai.core.tree import Node
from kuai.errors import ImpureCallError
from kuai.hybrid.comparisons import value_needed
from kuai.hybrid.following import follow
from kuai.hybrid.impure import is_impure, name_of
from kuai.hybrid.leaves import is_array, is_traced
from kuai.hybrid.objects import is_plain
from kuai.hybrid.places import Where, is_library_file, told_place
from kuai.hybrid.reads import changing, consuming, escaping
from kuai.hybrid.replaced import REPLACED
from kuai.hybrid.trace import Trace, current
from kuai.hybrid.undefined import used

_CHANGING = frozenset(
    [
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "sort",
        "reverse",
        "popitem",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
        "appendleft",
        "extendleft",
        "popleft",
        "rotate",
    ]
)
_COPYING = frozenset(["copy", "split", "tolist", "fromkeys"])


def call(where: Where, function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`."""
    trace = current()
    if trace is None:
        return used(function)(*args, **kwargs)
    replaced = _replacement(function)
    if replaced is not None:
        return _iterator_made(trace, replaced(where, *args, **kwargs))
    _check(function, where)
    target = follow(used(function))
    if target is function or isinstance(function, functools.partial):
        _note_given(function, args, kwargs, where)
    if _takes_functions(function):
        args = tuple(map(_followed_argument, args))
        kwargs = {name: _followed_argument(value) for name, value in kwargs.items()}
    result = target(*args, **kwargs)
    if _makes(function, result):
        _note_made(trace, result, args, kwargs)
    trace.watch(result)
    return _iterator_made(trace, result)


def _note_given(function: Any, args: Any, kwargs: Any, where: Where) -> None:
    """What code that is not converted can see."""
    owner = getattr(function, "__self__", None)
    for value in (*args, *kwargs.values(), owner):
        consuming(value, where)
    escaping(function, *args, *kwargs.values(), owner)


def _iterator_made(trace: Trace, result: Any) -> Any:
    """An iterator that comes out of a call was made by it."""
    if hasattr(type(result), "__next__") and not trace.is_made_here(result):
        trace.made(result)
    return result


def _note_made(trace: Trace, result: Any, args: Any, kwargs: Any) -> None:
    """An object is made here, with the containers that it made for itself."""
    trace.made(result)
    given = [*args, *kwargs.values()]
    for value in getattr(result, "__dict__", {}).values():
        if isinstance(value, (list, dict, set)) and not any(value is item for item in given):
            trace.made(value)


def _makes(function: Any, result: Any) -> bool:
    """Whether the result is a container or an object that this call made."""
    if isinstance(function, type):
        own = not _is_users_function(function.__new__)
        return own and not is_array(result) and not isinstance(result, Node)
    if function in (copy.copy, copy.deepcopy, dataclasses.replace):
        return is_plain(result)
    copies = function is sorted or getattr(function, "__name__", None) in _COPYING
    return copies and isinstance(result, (list, dict, set))


def _is_users_function(function: Any) -> bool:
    """Whether it is written in a file of the user's: it may give an object made before."""
    code = getattr(function, "__code__", None)
    return code is not None and not is_library_file(code.co_filename)


def _takes_functions(function: Any) -> bool:
    """Whether functions among the arguments are called by code that is not converted."""
    module = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] in (
        "jax",
        "jaxlib",
        "functools",
        "builtins",
        "kuai",
        "itertools",
    )


def _followed_argument(value: Any) -> Any:
    return follow(value) if isinstance(value, (types.FunctionType, types.MethodType)) else value


# ---- what must not be called


def _check(function: Any, where: Where) -> None:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (list, dict, set, deque)) and function.__name__ in _CHANGING:
        changing(owner, where, f"{function.__name__}()")
    if is_impure(function, owner):
        raise ImpureCallError(
            f"{told_place(where)}{name_of(function)} is called in a compiled forward: it would "
            "run once, while compiling, and give the same on every call; pass its result as an "
            "argument, or use kuai.random for random numbers"
        )
    if getattr(function, "__name__", None) in ("item", "tolist") and is_traced(owner):
        raise value_needed(f".{function.__name__}()", where)


def _replacement(function: Any) -> Callable[..., Any] | None:
    if not isinstance(function, (type, types.BuiltinFunctionType)):
        return None
    return REPLACED.get(function)
