"""Lists, dicts and sets that stay what they are to their user and tell when they change.

A list, tuple or dict assigned to a block is copied, at any depth, into these. Arrays in them become
Constants; reading an item gives the array, as reading an attribute does. Every change bumps the
structure epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from kuai.core.context import epoch
from kuai.core.parameter import ARRAY_TYPES, Constant, Holder
from kuai.errors import RegistrationError


def wrap(value: Any) -> Any:
    """What is stored for `value`: arrays as Constants, containers as watched copies."""
    if isinstance(value, ARRAY_TYPES):
        return Constant(value)
    kind = type(value)
    if kind is list or kind is WatchedList:
        return WatchedList(value if kind is list else list.__iter__(value))
    if kind in (dict, OrderedDict, WatchedDict):
        return WatchedDict(dict.items(value))
    if kind is set or kind is WatchedSet:
        return WatchedSet(_without_members(value))
    if isinstance(value, tuple):
        return _rebuilt(value, [wrap(item) for item in tuple.__iter__(value)])
    if isinstance(value, (list, dict, set, frozenset)) or kind.__name__ == "deque":
        _without_members(value)
    return value


def resolve(value: Any) -> Any:
    """What the user reads for a stored value: a holder's array, a tuple with arrays in it."""
    if isinstance(value, Holder):
        return value.read()
    if isinstance(value, tuple) and holds_arrays(value):
        return _rebuilt(value, [resolve(item) for item in value])
    return value


def holds_arrays(value: Any) -> bool:
    """Whether reading `value` must go through `resolve`."""
    return isinstance(value, Holder) or (isinstance(value, tuple) and any(map(holds_arrays, value)))


def _rebuilt(original: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    if all(new is old for new, old in zip(items, original, strict=True)):
        return original
    make = getattr(type(original), "_make", None)
    return make(items) if make else tuple(items)


def _without_members(container: Any) -> Any:
    """The container, if no block and no array is in it: they would be lost there."""
    items = container.values() if isinstance(container, dict) else container
    for item in items:
        if isinstance(item, (Holder, *ARRAY_TYPES)) or hasattr(type(item), "__kuai_block__"):
            raise RegistrationError(
                f"a {type(container).__name__} cannot hold a {type(item).__name__}: it would not be "
                "registered; use a list, a tuple or a dict"
            )
    return container


def _watched(base: type, name: str) -> Callable[..., Any]:
    """A mutator of `base` that bumps the epoch."""
    original = getattr(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        epoch.guard()
        try:
            return original(self, *args, **kwargs)
        finally:
            epoch.bump()

    method.__name__, method.__doc__ = name, original.__doc__
    return method


def written(stored: Any, value: Any) -> bool:
    """Whether assigning `value` over `stored` sets a holder's array, and did so here."""
    if not isinstance(stored, Holder) or not isinstance(value, (*ARRAY_TYPES, *_NUMBERS)):
        return False
    stored.write(value)
    return True


_NUMBERS = (int, float, complex, np.generic)


class WatchedList(list):  # type: ignore[type-arg]  # holds anything
    """A list on a block."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__(map(wrap, items))

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return [resolve(item) for item in found] if isinstance(index, slice) else resolve(found)

    def __iter__(self) -> Iterator[Any]:
        return map(resolve, super().__iter__())

    def __reversed__(self) -> Iterator[Any]:
        return map(resolve, super().__reversed__())

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            epoch.guard()
            super().__setitem__(index, list(map(wrap, value)))
            epoch.bump()
        elif not written(super().__getitem__(index), value):
            epoch.guard()
            super().__setitem__(index, wrap(value))
            epoch.bump()

    def append(self, value: Any) -> None:
        epoch.guard()
        super().append(wrap(value))
        epoch.bump()

    def insert(self, index: Any, value: Any) -> None:
        epoch.guard()
        super().insert(index, wrap(value))
        epoch.bump()

    def extend(self, items: Any) -> None:
        epoch.guard()
        super().extend(list(map(wrap, items)))
        epoch.bump()

    def __iadd__(self, items: Any) -> WatchedList:  # type: ignore[override,misc]  # as list does
        self.extend(items)
        return self

    def pop(self, index: Any = -1) -> Any:
        epoch.guard()
        found = super().pop(index)
        epoch.bump()
        return resolve(found)

    def __add__(self, other: Any) -> list[Any]:  # type: ignore[override]  # a plain list
        return list(self) + list(other)

    def __radd__(self, other: Any) -> list[Any]:
        return list(other) + list(self)

    def __mul__(self, times: Any) -> list[Any]:  # type: ignore[override]  # a plain list
        return list(self) * times

    __rmul__ = __mul__

    def copy(self) -> list[Any]:
        return list(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedList, (), None, list.__iter__(self)

    __imul__ = _watched(list, "__imul__")
    __delitem__ = _watched(list, "__delitem__")
    clear = _watched(list, "clear")
    remove = _watched(list, "remove")
    reverse = _watched(list, "reverse")
    sort = _watched(list, "sort")


class WatchedDict(dict):  # type: ignore[type-arg]  # holds anything
    """A dict on a block."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__((key, wrap(value)) for key, value in items)

    def __getitem__(self, key: Any) -> Any:
        return resolve(super().__getitem__(key))

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self else default

    def values(self) -> Any:
        return [resolve(value) for value in super().values()]

    def items(self) -> Any:
        return [(key, resolve(value)) for key, value in super().items()]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not written(super().get(key), value):
            epoch.guard()
            super().__setitem__(key, wrap(value))
            epoch.bump()

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> WatchedDict:  # type: ignore[override,misc]  # as dict does
        self.update(other)
        return self

    def __or__(self, other: Any) -> dict[Any, Any]:  # type: ignore[override]  # a plain dict
        return {**dict(self.items()), **other}

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        epoch.guard()
        found = super().pop(key, *default)
        epoch.bump()
        return resolve(found)

    def popitem(self) -> tuple[Any, Any]:
        epoch.guard()
        key, value = super().popitem()
        epoch.bump()
        return key, resolve(value)

    def copy(self) -> dict[Any, Any]:
        return dict(self.items())

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedDict, (), None, None, iter(dict.items(self))

    __delitem__ = _watched(dict, "__delitem__")
    clear = _watched(dict, "clear")


class WatchedSet(set):  # type: ignore[type-arg]  # holds anything
    """A set on a block: plain values only."""

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedSet, (list(self),)

    add = _watched(set, "add")
    clear = _watched(set, "clear")
    discard = _watched(set, "discard")
    pop = _watched(set, "pop")
    remove = _watched(set, "remove")
    update = _watched(set, "update")
    __ior__ = _watched(set, "__ior__")
    __iand__ = _watched(set, "__iand__")
    __isub__ = _watched(set, "__isub__")
    __ixor__ = _watched(set, "__ixor__")
    difference_update = _watched(set, "difference_update")
    intersection_update = _watched(set, "intersection_update")
    symmetric_difference_update = _watched(set, "symmetric_difference_update")


def _flatten_dict(watched: WatchedDict) -> tuple[list[Any], tuple[Any, ...]]:
    return watched.values(), tuple(watched)


jax.tree_util.register_pytree_node(
    WatchedList, lambda watched: (list(watched), None), lambda _, items: list(items)
)
jax.tree_util.register_pytree_node(
    WatchedDict, _flatten_dict, lambda keys, values: dict(zip(keys, values, strict=True))
)
