"""Python's built-in functions, where arrays are among what they are given."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from kuai.errors import ValueNeededError
from kuai.hybrid.branch import and_, or_, truth
from kuai.hybrid.comparisons import decide, value_needed
from kuai.hybrid.following import follow
from kuai.hybrid.iteration import Stepped, enumerate_, range_, reversed_, zip_
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.reads import attribute, consuming, setting
from kuai.hybrid.text import Text, print_
from kuai.hybrid.undefined import used

_ABSENT = object()


def _concrete(kind: Callable[..., Any]) -> Callable[..., Any]:
    """`int`, `float` and the like: of an array they need its value."""

    def convert(where: Where, *args: Any, **kwargs: Any) -> Any:
        if args and is_traced(args[0]):
            raise value_needed(f"{kind.__name__}() of an array", where)
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


REPLACED: dict[Any, Callable[..., Any]] = {
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
