"""Which lists, dicts and objects a branch or loop leaves as the very ones they were.

A program carries arrays, not objects: what a branch chooses between two lists is put together anew.
Python would go on with one of the two, and a change of it would be seen through every name that it
has. So a value that is the same object on every way stays that object, and one that had to be put
together anew, though it or a part of it has another name, must not be changed any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.signature import children
from kuai.core.tree import Node
from kuai.hybrid.leaves import NUMBERS, is_traced
from kuai.hybrid.undefined import Nothing, Undefined
from kuai.hybrid.upstream import level

_LEAVES = (*NUMBERS, str, type(None), jax.Array, np.ndarray, Node, Holder, Undefined, Nothing)


class End(NamedTuple):
    """What a carried value is at the end of a region.

    Attributes:
        older: itself, if it is a list, dict or object that was there before; else None.
        shared: the lists, dicts and objects in it that may have another name.
    """

    older: Any
    shared: list[Any]


def changeable_parts(value: Any) -> Iterator[Any]:
    """The lists, dicts and objects in a value that a program would put together anew."""
    parts = None if isinstance(value, _LEAVES) else children(value)
    if parts is None:
        return
    if not isinstance(value, tuple):
        yield value
    for item in parts[2]:
        yield from changeable_parts(item)


def ends(trace: Any, values: Sequence[Any], starts: dict[int, Any]) -> list[End]:
    """What became of the carried values.

    Args:
        trace: the current trace, inside the region.
        values: at the end.
        starts: id → original, of the lists, dicts and objects that stood for older ones.
    """
    parts = [list(changeable_parts(value)) for value in values]
    names = Counter(id(part) for found in parts for part in found)
    result = []
    for value, found in zip(values, parts, strict=True):
        originals = [starts.get(id(part), part) for part in found]
        shared = [
            original
            for part, original in zip(found, originals, strict=True)
            if names[id(part)] > 1 or id(part) in starts or _is_older(trace, part)
        ]
        whole = bool(found) and found[0] is value and bool(shared) and shared[0] is originals[0]
        older = whole and (id(value) in starts or _is_older(trace, value))
        result.append(End(originals[0] if older else None, shared))
    return result


def _is_older(trace: Any, part: Any) -> bool:
    """Whether a list, dict or object was there before the region that is traced."""
    if trace.is_made_here(part):
        return bool(trace.depth_of(part) < trace.depth)
    now = level()
    leaves = (item for item in jax.tree.leaves(children(part)[2]) if is_traced(item))  # type: ignore[index]  # it has parts
    return all(leaf._trace is not now for leaf in leaves)
