"""Splitting a call's arguments into arrays and everything else.

`split` replaces every array and float by a placeholder and gives back what is left, a `Template`:
hashable, equal for calls that may share a compiled program, and able to put arrays back (`join`).
Arrays are found in tuples, lists, dicts, dataclasses and registered JAX pytrees.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.tree import Node
from kuai.errors import ArgumentError

_STATIC = (bool, int, str, bytes, type(None), complex, enum.Enum, np.dtype, type, slice, type(...))


class Template:
    """What is left of a value when its arrays are taken out."""

    __slots__ = ("build", "key")

    def __init__(self, key: tuple[Any, ...], build: Callable[[Iterator[Any]], Any]) -> None:
        self.key = key
        self.build = build

    def join(self, arrays: Any) -> Any:
        """The value with `arrays` in the places of the placeholders."""
        return self.build(iter(arrays))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def split(
    value: Any, arrays: list[Any], *, floats_traced: bool = True, nodes: list[Node] | None = None
) -> Template:
    """Take the arrays out of `value`, appending them to `arrays`.

    Args:
        value: arguments or results of a call.
        arrays: the list they are appended to.
        floats_traced: whether Python floats count as arrays, as in arguments; in results they stay.
        nodes: a list that the blocks met are appended to.

    Raises:
        ArgumentError: something is neither an array nor hashable.
    """
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        arrays.append(value)
        return _ARRAY
    if isinstance(value, float) and floats_traced:
        arrays.append(value)
        return _FLOAT
    if isinstance(value, (Node, Holder)):
        if nodes is not None and isinstance(value, Node):
            nodes.append(value)
        return _identity(value)
    if isinstance(value, (*_STATIC, float)):
        return Template(
            (type(value), repr(value) if isinstance(value, slice) else value), lambda _: value
        )
    kids = children(value)
    if kids is not None:
        kind, rebuild, items = kids
        parts = [split(item, arrays, floats_traced=floats_traced, nodes=nodes) for item in items]
        return Template(
            (kind, *(part.key for part in parts)),
            lambda it: rebuild([part.build(it) for part in parts]),
        )
    return _opaque(value)


_ARRAY = Template((jax.Array,), next)
_FLOAT = Template((float,), next)


def _identity(value: Any) -> Template:
    reference = weakref.ref(value)
    return Template((Node, reference), lambda _: reference())


def children(value: Any) -> tuple[Any, Callable[[list[Any]], Any], list[Any]] | None:
    """(kind, rebuild, items) of a container, or None."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind, kind, list(value)
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return kind, value._make, list(value)
    if isinstance(value, dict) and kind is dict:
        keys = tuple(value)
        return (dict, keys), lambda items: dict(zip(keys, items, strict=True)), list(value.values())
    leaves, treedef = jax.tree.flatten(value)
    if not (len(leaves) == 1 and leaves[0] is value):
        return treedef, functools.partial(jax.tree.unflatten, treedef), leaves
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass_children(value)
    return None


def _dataclass_children(value: Any) -> tuple[Any, Callable[[list[Any]], Any], list[Any]]:
    names = [field.name for field in dataclasses.fields(value)]

    def rebuild(items: list[Any]) -> Any:
        new = object.__new__(type(value))
        for name, item in zip(names, items, strict=True):
            object.__setattr__(new, name, item)
        return new

    return type(value), rebuild, [getattr(value, name) for name in names]


def _opaque(value: Any) -> Template:
    """A function or other hashable object: static, told by identity or its own equality."""
    try:
        hash(value)
    except TypeError:
        raise ArgumentError(
            "expected arrays, numbers, strings or hashable objects as arguments, got an "
            f"unhashable {type(value).__name__}; pass its arrays in a tuple, dict or dataclass"
        ) from None
    return Template((type(value), value), lambda _: value)
