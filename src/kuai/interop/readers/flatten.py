"""Nested dictionaries and lists out of a pickle, as one mapping of dotted names."""

from __future__ import annotations

from typing import Any

from kuai.errors import ArgumentError
from kuai.interop.readers.pickled_numpy import PickledArray
from kuai.interop.readers.source import Source, short
from kuai.interop.readers.weights import Stored

_DEPTH = 32
_NAME = 1024
_VISITS = 500_000
_CHARACTERS = 32 * 2**20

Leaf = bool | int | float | str | None


class Flattened:
    """The arrays and the plain values of a tree, by dotted name.

    Args:
        source: for messages.
        tree: what a pickle described.

    Attributes:
        is_flat: whether all of it stands in the outermost dictionary.
    """

    def __init__(self, source: Source, tree: Any) -> None:
        self.arrays: dict[str, Stored] = {}
        self.values: dict[str, Leaf] = {}
        self.is_flat = True
        self._source = source
        # The same dictionary may stand in many places, and those in many others: what a small
        # file can unfold to is bounded here.
        self._visits = self._characters = 0
        self._visit("", tree, 0)

    def _visit(self, name: str, node: Any, depth: int) -> None:
        self._count(name, depth)
        if isinstance(node, PickledArray):
            node = node.stored
        if isinstance(node, Stored):
            self._keep(self.arrays, name, node)
        elif isinstance(node, dict):
            self.is_flat = self.is_flat and depth == 0
            for key, value in node.items():
                self._visit(f"{name}.{key}" if name else str(key), value, depth + 1)
        elif isinstance(node, (list, tuple)):
            self.is_flat = False
            for index, value in enumerate(node):
                self._visit(f"{name}.{index}" if name else str(index), value, depth + 1)
        elif node is None or type(node) in (bool, int, float, str):
            self._keep(self.values, name, node)

    def _keep(self, into: dict[str, Any], name: str, value: Any) -> None:
        if name in self.arrays or name in self.values:
            raise self._source.damaged(f"the name {short(name)} stands twice")
        into[name] = value

    def _count(self, name: str, depth: int) -> None:
        self._visits += 1
        self._characters += len(name)
        if depth > _DEPTH or len(name) > _NAME:
            raise self._source.damaged(f"{short(name)} is nested too deep, or too long a name")
        if self._visits > _VISITS or self._characters > _CHARACTERS:
            raise self._source.damaged("it unfolds to far more names than a net has")


def flattened(source: Source, tree: Any) -> Flattened:
    """The arrays of a tree, of which there must be some; one that stands alone is "array".

    Raises:
        FileFormatError: it holds none, or far more names than a net has.
    """
    alone = isinstance(tree, (Stored, PickledArray))
    found = Flattened(source, {"array": tree} if alone else tree)
    if found.values and not found.arrays:
        held = ", ".join(list(found.values)[:5])
        raise source.damaged(f"it holds no arrays, only {held[:200]}")
    return found


def part(source: Source, tree: Any, key: str | None) -> Any:
    """The part of a nested checkpoint that the user named, by a key or dotted keys.

    Raises:
        ArgumentError: there is no such part.
    """
    for word in key.split(".") if key is not None else ():
        if not isinstance(tree, dict) or word not in tree:
            have = ", ".join(map(str, tree)) if isinstance(tree, dict) else "no further parts"
            raise ArgumentError(
                f"{source.path}: key={key!r}: expected one of its parts, got {word!r}; it has "
                f"{have[:300]}"
            )
        tree = tree[word]
    return tree
