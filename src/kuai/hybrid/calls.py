"""What converted code calls: user functions converted, built-ins on arrays, the rest as is."""

from __future__ import annotations

import builtins
import contextvars
import copy
import dataclasses
import datetime
import functools
import operator
import os
import random
import secrets
import time
import types
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from kuai.core.tree import Node
from kuai.errors import ImpureCallError, ValueNeededError
from kuai.hybrid.branch import and_, not_, or_, truth
from kuai.hybrid.following import follow
from kuai.hybrid.iteration import Stepped, enumerate_, range_, reversed_, zip_
from kuai.hybrid.leaves import is_array, is_traced
from kuai.hybrid.objects import is_plain
from kuai.hybrid.places import Where, is_library_file, told_place
from kuai.hybrid.reads import attribute, changing, consuming, escaping, setting
from kuai.hybrid.text import Text, print_
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
_ABSENT = object()
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
    if isinstance(function, functools.partial) and (trace := current()) is not None:
        trace.guards.value(function.keywords, "the keywords of a partial function")


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
    if _is_impure(function, owner):
        raise ImpureCallError(
            f"{told_place(where)}{_name(function)} is called in a compiled forward, where it would "
            "run once, while compiling, and give the same on every call; pass its result as an "
            "argument, or use kuai.random for random numbers"
        )
    if getattr(function, "__name__", None) in ("item", "tolist") and is_traced(owner):
        _value_needed(f".{function.__name__}()", where)


def _is_impure(function: Any, owner: Any) -> bool:
    if isinstance(owner, (random.Random, np.random.Generator, np.random.RandomState)):
        return True
    if owner is os.environ or isinstance(owner, contextvars.ContextVar):
        return True
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return function.__name__ in ("now", "today", "utcnow")
    return isinstance(function, (types.FunctionType, types.BuiltinFunctionType)) and (
        function in _IMPURE
    )


_IMPURE = frozenset(
    [
        *(getattr(time, name) for name in ("time", "time_ns", "perf_counter", "perf_counter_ns",
          "monotonic", "monotonic_ns", "process_time", "process_time_ns", "sleep")),
        os.urandom, os.getpid, os.getenv, uuid.uuid1, uuid.uuid4,
        secrets.token_bytes, secrets.token_hex, secrets.randbelow, secrets.choice,
        builtins.open, builtins.input, np.load, np.loadtxt, np.save, np.fromfile,
    ]
)  # fmt: skip


def _name(function: Any) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", type(function).__name__)
    return name if module in (None, "builtins") else f"{module}.{name}"


# ---- built-ins on arrays


def _replacement(function: Any) -> Callable[..., Any] | None:
    if not isinstance(function, (type, types.BuiltinFunctionType)):
        return None
    return _BUILTINS.get(function)


def _value_needed(what: str, where: Where) -> None:
    raise ValueNeededError(
        f"{told_place(where)}{what} needs the value of an array, which exists only when the "
        "compiled program runs; keep it an array"
    )


def _concrete(kind: Callable[..., Any]) -> Callable[..., Any]:
    """`int`, `float` and the like: of an array they need its value."""

    def convert(where: Where, *args: Any, **kwargs: Any) -> Any:
        if args and is_traced(args[0]):
            _value_needed(f"{kind.__name__}() of an array", where)
        return kind(*map(used, args), **kwargs)

    return convert


def _unplaced(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *args, **kwargs: function(*args, **kwargs)


def _extreme(kind: Callable[..., Any], wins: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """`max` and `min` of scalars, some of them arrays: the first of equal ones, as in Python."""

    def pick(a: Any, b: Any) -> Any:
        return jnp.where(wins(b, a), b, a) if is_traced(a) or is_traced(b) else kind(a, b)

    def choose(where: Where, *args: Any, **kwargs: Any) -> Any:
        values = args if len(args) > 1 else tuple(used(args[0]))
        if kwargs or not any(map(is_traced, values)):
            return kind(*args, **kwargs) if len(args) > 1 else kind(values, **kwargs)
        for value in values:
            if jnp.ndim(value):
                truth(value, where)
        return functools.reduce(pick, values)

    return choose


def _all(where: Where, values: Iterable[Any]) -> Any:
    result: Any = True
    for value in used(values):
        result = and_(result, functools.partial(_truth, value, where), where)
        if not is_traced(result) and not result:
            return False
    return result


def _any(where: Where, values: Iterable[Any]) -> Any:
    result: Any = False
    for value in used(values):
        result = or_(result, functools.partial(_truth, value, where), where)
        if not is_traced(result) and result:
            return True
    return result


def _truth(value: Any, where: Where) -> Any:
    return truth(value, where) if is_traced(value) else bool(value)


def _isinstance(where: Where, value: Any, kinds: Any) -> bool:
    """A number that a loop carries is an array here and a number in plain Python."""
    answer = isinstance(used(value), kinds)
    if _is_number_here(value) and isinstance(_number(value), kinds) != answer:
        _number_asked("isinstance()", where)
    return answer


def _type(where: Where, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and _is_number_here(args[0]):
        _number_asked("type()", where)
    return type(*args, **kwargs)


def _is_number_here(value: Any) -> bool:
    return is_traced(value) and value.ndim == 0 and bool(value.weak_type)


def _number(value: Any) -> Any:
    """A Python number of the kind of an array."""
    return np.zeros((), value.dtype).item()


def _number_asked(what: str, where: Where) -> None:
    raise ValueNeededError(
        f"{told_place(where)}{what} of a number that a compiled program holds as an array would "
        "differ from plain Python; decide by an argument that is an int or bool, or drop the test"
    )


def _getattr(_: Where, owner: Any, name: str, *default: Any) -> Any:
    if not default:
        return attribute(owner, name)
    try:
        return attribute(owner, name)
    except AttributeError:
        return default[0]


def _hasattr(where: Where, owner: Any, name: str) -> bool:
    if _is_number_here(owner) and hasattr(_number(owner), name) != hasattr(owner, name):
        _number_asked("hasattr()", where)
    return _getattr(where, owner, name, _ABSENT) is not _ABSENT


def _setattr(where: Where, owner: Any, name: str, value: Any) -> None:
    setting(owner, name, where)
    setattr(owner, name, value)


def _delattr(where: Where, owner: Any, name: str) -> None:
    setting(owner, name, where)
    delattr(owner, name)


def _next(where: Where, iterator: Any, *default: Any) -> Any:
    consuming(iterator, where)
    return next(iterator, *default)


def _map(_: Where, function: Any, *iterables: Any) -> Any:
    return map(follow(function), *iterables)


def _filter(where: Where, function: Any, values: Any) -> Any:
    keep = follow(function) if function is not None else lambda value: value
    return (value for value in values if decide(keep(value), where))


def _len(_: Where, value: Any) -> Any:
    return value.length if isinstance(value, Stepped) else len(value)


def _str(_: Where, *args: Any, **kwargs: Any) -> Any:
    return Text.of(args) if len(args) == 1 and is_traced(args[0]) else str(*args, **kwargs)


_BUILTINS: dict[Any, Callable[..., Any]] = {
    int: _concrete(int),
    float: _concrete(float),
    bool: _concrete(bool),
    complex: _concrete(complex),
    range: _unplaced(range_),
    enumerate: _unplaced(enumerate_),
    zip: _unplaced(zip_),
    reversed: _unplaced(reversed_),
    max: _extreme(max, operator.gt),
    min: _extreme(min, operator.lt),
    all: _all,
    any: _any,
    isinstance: _isinstance,
    type: _type,
    hasattr: _hasattr,
    setattr: _setattr,
    delattr: _delattr,
    next: _next,
    getattr: _getattr,
    map: _map,
    filter: _filter,
    len: _len,
    print: _unplaced(print_),
    str: _str,
}


# ---- comparisons and conditions that are no `if`


def decide(value: Any, where: Where) -> Any:
    """The condition of a comprehension: it decides how many items there are."""
    if is_traced(value):
        _value_needed("the condition of a comprehension", where)
    return used(value)


def iterate(iterable: Any, where: Where) -> Any:
    """What a comprehension runs over."""
    consuming(iterable, where)
    return used(iterable)


def is_(a: Any, b: Any, where: Where) -> bool:
    """`a is b`. None is None in both worlds; a number or bool may be an array here."""
    for one, other in ((a, b), (b, a)):
        used(one)
        if is_traced(one) and isinstance(other, (bool, int, float)):
            raise ValueNeededError(
                f"{told_place(where)}`is` compares an array with {other!r}, and would differ from "
                "plain Python; write == or use the truth value itself"
            )
    return a is b


def is_not(a: Any, b: Any, where: Where) -> bool:
    return not is_(a, b, where)


def in_(value: Any, container: Any, where: Where) -> Any:
    """`value in container`."""
    known = isinstance(container, (list, tuple, range, set, frozenset))
    if not known or not (is_traced(value) or any(map(is_traced, container))):
        return used(value) in used(container)
    equal: Any = False
    for element in container:
        equal = or_(equal, functools.partial(operator.eq, value, element), where)
    return equal


def not_in(value: Any, container: Any, where: Where) -> Any:
    return not_(in_(value, container, where), where)
