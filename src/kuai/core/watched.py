"""Lists, dicts and sets that stay what they are to their user and tell when they change.

A list, tuple or dict assigned to a block is copied, at any depth, into these. Arrays in them become
Constants; reading an item gives the array, as reading an attribute does. Every change bumps the
structure epoch after it was made, and is undone after a dry run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax

from kuai.core.admission import check_keys, check_overwritten, check_tie, refuse_members
from kuai.core.changes import adding_mutator, current_dry_run, mutator
from kuai.core.context import context
from kuai.core.parameter import ARRAY_TYPES, Constant, Holder, State
from kuai.core.stored import only_writes, rebuilt, resolve, written


def wrap(value: Any, keep: Callable[[Any], Holder] | None = None) -> Any:
    """What is stored for `value`: arrays in holders, containers as watched copies.

    Args:
        value: anything.
        keep: what an array becomes; default a Constant, or inside a forward a State that is not
            saved.
    """
    if isinstance(value, ARRAY_TYPES):
        return (keep or _holder)(value)
    kind = type(value)
    if kind is list or kind is WatchedList:
        return WatchedList(list.__iter__(value), keep)
    if kind in (dict, OrderedDict, WatchedDict):
        return WatchedDict(dict.items(value), keep)
    if kind is set or kind is WatchedSet:
        return WatchedSet(value)
    if isinstance(value, tuple):
        return rebuilt(value, [wrap(item, keep) for item in tuple.__iter__(value)])
    refuse_members(value)
    return value


def _holder(array: Any) -> Holder:
    return State(array, persistent=False) if context.stack else Constant(array)


class WatchedList(list):  # type: ignore[type-arg]  # holds anything
    """A list on a block."""

    __slots__ = ("born",)

    def __init__(self, items: Any = (), keep: Callable[[Any], Holder] | None = None) -> None:
        self.born = id(current_dry_run())
        super().__init__([wrap(item, keep) for item in items])

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return [resolve(item) for item in found] if isinstance(index, slice) else resolve(found)

    def __iter__(self) -> Iterator[Any]:
        return map(resolve, super().__iter__())

    def __reversed__(self) -> Iterator[Any]:
        return map(resolve, super().__reversed__())

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self._set(index, [wrap(item) for item in value])
            return
        stored = super().__getitem__(index)
        if not written(stored, value):
            check_overwritten(f"item {index}", stored, value)
            check_tie(f"item {index}", stored, value)
            self._set(index, wrap(value))

    def append(self, value: Any) -> None:
        self._append(wrap(value))

    def insert(self, index: Any, value: Any) -> None:
        self._insert(index, wrap(value))

    def extend(self, items: Any) -> None:
        self._extend([wrap(item) for item in items])

    def __iadd__(self, items: Any) -> WatchedList:
        self.extend(items)
        return self

    def pop(self, index: Any = -1) -> Any:
        return resolve(self._pop(index))

    def __add__(self, other: Any) -> list[Any]:
        return list(self) + list(other)

    def __radd__(self, other: Any) -> list[Any]:
        return list(other) + list(self)

    def __mul__(self, times: Any) -> list[Any]:
        return list(self) * times

    __rmul__ = __mul__

    def copy(self) -> list[Any]:
        return list(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedList, (), None, list.__iter__(self)

    _set = mutator(list, "__setitem__")
    _append = mutator(list, "append")
    _insert = mutator(list, "insert")
    _extend = mutator(list, "extend")
    _pop = mutator(list, "pop")
    __imul__ = mutator(list, "__imul__")
    __delitem__ = mutator(list, "__delitem__")
    clear = mutator(list, "clear")
    remove = mutator(list, "remove")
    reverse = mutator(list, "reverse")
    sort = mutator(list, "sort")


class WatchedDict(dict):  # type: ignore[type-arg]  # holds anything
    """A dict on a block."""

    __slots__ = ("born",)

    def __init__(self, items: Any = (), keep: Callable[[Any], Holder] | None = None) -> None:
        self.born = id(current_dry_run())
        super().__init__((key, wrap(value, keep)) for key, value in items)
        check_keys(self)

    def __getitem__(self, key: Any) -> Any:
        return resolve(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:
        """The keys. Overridden so that `dict(self)` and `**self` read items as `self[key]` does."""
        return super().__iter__()

    def get(self, key: Any, default: Any = None) -> Any:
        return resolve(super().get(key, default))

    def values(self) -> Any:
        return [resolve(value) for value in super().values()]

    def items(self) -> Any:
        return [(key, resolve(value)) for key, value in super().items()]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update({key: value})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several items, after all of them were checked."""
        fresh = {}
        stored = dict(dict.items(self))
        changes = dict(*args, **kwargs)
        for key, value in changes.items():
            if not only_writes(stored.get(key), value):
                check_overwritten(f"item {key!r}", stored.get(key), value)
                check_tie(f"item {key!r}", stored.get(key), value)
                fresh[key] = wrap(value)
        check_keys({**stored, **fresh})
        for key in changes:
            if key not in fresh:
                written(stored[key], changes[key])
        if fresh:
            self._update(fresh)

    def __ior__(self, other: Any) -> WatchedDict:
        self.update(other)
        return self

    def __or__(self, other: Any) -> dict[Any, Any]:
        return {**self, **other}

    def __ror__(self, other: Any) -> dict[Any, Any]:
        return {**other, **self}

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        return resolve(self._pop(key, *default))

    def popitem(self) -> tuple[Any, Any]:
        key, value = self._popitem()
        return key, resolve(value)

    def copy(self) -> dict[Any, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedDict, (), None, None, iter(dict.items(self))

    _update = mutator(dict, "update")
    _pop = mutator(dict, "pop")
    _popitem = mutator(dict, "popitem")
    __delitem__ = mutator(dict, "__delitem__")
    clear = mutator(dict, "clear")


class WatchedSet(set):  # type: ignore[type-arg]  # holds anything
    """A set on a block: plain values only."""

    __slots__ = ("born",)

    def __init__(self, items: Any = ()) -> None:
        self.born = id(current_dry_run())
        super().__init__(items)
        refuse_members(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedSet, (list(self),)

    def add(self, item: Any) -> None:
        self.update([item])

    def copy(self) -> set[Any]:
        return set(self)

    update = adding_mutator(set, "update")
    __ior__ = adding_mutator(set, "__ior__")
    __ixor__ = adding_mutator(set, "__ixor__")
    symmetric_difference_update = adding_mutator(set, "symmetric_difference_update")
    clear = mutator(set, "clear")
    discard = mutator(set, "discard")
    pop = mutator(set, "pop")
    remove = mutator(set, "remove")
    __iand__ = mutator(set, "__iand__")
    __isub__ = mutator(set, "__isub__")
    difference_update = mutator(set, "difference_update")
    intersection_update = mutator(set, "intersection_update")


def _flatten_dict(watched: WatchedDict) -> tuple[list[Any], tuple[Any, ...]]:
    return watched.values(), tuple(watched)


def _plain_list(_: None, items: Any) -> Any:
    return list(items)


def _plain_dict(keys: tuple[Any, ...], values: Any) -> Any:
    return dict(zip(keys, values, strict=True))


jax.tree_util.register_pytree_node(WatchedList, lambda watched: (list(watched), None), _plain_list)
jax.tree_util.register_pytree_node(WatchedDict, _flatten_dict, _plain_dict)
