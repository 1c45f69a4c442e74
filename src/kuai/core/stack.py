"""Arrays of equal layers in one: a `Stack` holds what holders of several layers read and write.

Invariants a maintainer must not break:

* A row in a stack (`holder.row`) has no array of its own; it reads a piece of the stack's. A row
  that is stored, cast or cleared leaves the stack and is an ordinary holder again. So whoever does
  not know of stacks is right all the same, and only slower.
* A stack is as large as it was made: all of its rows had values, of one shape, dtype and kind.
* Programs take stacks whole (`together`). What a user sees is by row (`Bundle.apart`).
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from kuai.core.context import epoch
from kuai.core.parameter import Holder, row_of
from kuai.core.tree import Node

Arrays: TypeAlias = "dict[str, jax.Array] | Bundle"  # by path
Rows: TypeAlias = dict[Holder, tuple[Any, int]]  # holder → (stack, index)
_NONE: tuple[int, ...] = ()


class Stack(Holder):
    """One array whose rows are those of holders at one place of several layers.

    Args:
        rows: the holders, which keep the arrays they have until `gather`.
        owner: the block whose layers they stand in.
    """

    __slots__ = ("owner", "rows")

    def __init__(self, rows: Iterable[Holder], owner: Node) -> None:
        self.rows = tuple(rows)
        self.owner = weakref.ref(owner)
        first = self.rows[0]
        super().__init__(shape=(len(self.rows), *first.shape), dtype=first.dtype)

    @property
    def trainable(self) -> bool:  # type: ignore[override]  # a property, as a Parameter's
        """Whether its rows are trained."""
        return self.rows[0].trainable

    @property
    def whole(self) -> bool:
        """Whether every row stands in it."""
        return all(row.row == (self, index) for index, row in enumerate(self.rows))

    def gather(self) -> None:
        """Take the arrays of all rows in."""
        first = self.rows[0]
        with jax.ensure_compile_time_eval():
            array = jax.lax.broadcast(first.peek(), (len(self.rows),))
            for index, row in enumerate(self.rows):
                array = _with_row(array, row.peek(), np.int32(index))
        self._shape, self._dtype = (len(self.rows), *first.shape), first.dtype
        self._array, self.row, self._lent = array, None, False
        for index, row in enumerate(self.rows):
            row.row = self, index
            row._array = None
        epoch.bump()

    def release(self) -> None:
        """Give the rows that stand in it their arrays back."""
        with jax.ensure_compile_time_eval():
            for index, row in enumerate(self.rows):
                if row.row == (self, index):
                    row.store(self._row(index))
        self._array = self.row = None

    def _row(self, index: int) -> jax.Array:
        return row_of(self.peek(), np.int32(index))


@functools.partial(jax.jit, donate_argnums=0)
def _with_row(array: jax.Array, row: jax.Array, index: Any) -> jax.Array:
    """A stack with a row set in place: one small program, however many rows there are."""
    return jax.lax.dynamic_update_index_in_dim(array, row, index, 0)


def storage(holder: Holder) -> Holder:
    """Where the array of a holder is: in a stack, or itself."""
    while holder.row is not None:
        holder = holder.row[0]
    return holder


def leaves_of(holder: Holder) -> list[Holder]:
    """The holders that a stack stands for; an ordinary one is its own."""
    return [leaf for row in holder.rows for leaf in leaves_of(row)] if holder.rows else [holder]


class Place(NamedTuple):
    """Where the array of a path is in a `Bundle`: which of its arrays, and the rows to take."""

    array: int
    rows: tuple[int, ...]


@jax.tree_util.register_pytree_node_class
class Bundle:
    """Arrays by path, those of a stack as one array.

    Args:
        arrays: each the array of an ordinary holder or of a stack.
        places: (path, where its array is).
    """

    __slots__ = ("arrays", "places")

    def __init__(self, arrays: list[Any], places: tuple[tuple[str, Place], ...]) -> None:
        self.arrays = arrays
        self.places = places

    def apart(self) -> dict[str, jax.Array]:
        """Path → array, a stack taken apart by a program that all rows share."""
        arrays = self.arrays
        return {
            path: self._row(place) if place.rows else arrays[place.array]
            for path, place in self.places
        }

    def _row(self, place: Place) -> jax.Array:
        array = self.arrays[place.array]
        for index in place.rows:
            array = row_of(array, np.int32(index))
        return array

    def tree_flatten(self) -> tuple[list[Any], Any]:
        return self.arrays, self.places

    @classmethod
    def tree_unflatten(cls, places: Any, arrays: Any) -> Bundle:
        return cls(list(arrays), places)


def together(
    holders: Mapping[str, Holder], rows: Rows | None = None
) -> tuple[list[Holder], tuple[tuple[str, Place], ...]]:
    """The holders whose arrays to take, for those of some paths, and where each path's array is.

    A stack stands for its rows if all of them are there.

    Args:
        holders: path → holder.
        rows: what row of which stack a holder will be; default what it is now.
    """
    given = set(holders.values())
    whole: dict[Holder, bool] = {}
    homes: dict[Holder, int] = {}
    places = []
    for path in sorted(holders):
        home, taken = holders[path], _NONE
        for stack, further in _above(home, rows):
            if stack not in whole:
                whole[stack] = given.issuperset(leaves_of(stack))
            home, taken = (stack, further) if whole[stack] else (home, taken)
        places.append((path, Place(homes.setdefault(home, len(homes)), taken)))
    return list(homes), tuple(places)


def read(holders: Mapping[str, Holder]) -> Arrays:
    """The arrays of holders by path: a dict, or a bundle if there are stacks among them."""
    homes, places = together(holders)
    if any(place.rows for _, place in places):
        return Bundle([home.read() for home in homes], places)
    return {path: holders[path].read() for path, _ in places}


def bindings(holders: Mapping[str, Holder], arrays: Arrays) -> dict[Holder, jax.Array]:
    """What to bind in a scope for arrays as `read` gave them."""
    if isinstance(arrays, Bundle):
        return dict(zip(together(holders)[0], arrays.arrays, strict=True))
    return {holders[path]: array for path, array in arrays.items()}


def apart(arrays: Arrays) -> dict[str, jax.Array]:
    """The arrays of `read`, or their gradients, as a dict."""
    return arrays.apart() if isinstance(arrays, Bundle) else arrays


def row_in(holder: Holder, rows: Rows | None) -> tuple[Any, int] | None:
    """The row that a holder is, or will be."""
    return holder.row if rows is None else rows.get(holder)


def _above(holder: Holder, rows: Rows | None) -> Iterator[tuple[Holder, tuple[int, ...]]]:
    """The stacks that a holder stands in, and which rows lead to it."""
    taken: tuple[int, ...] = ()
    while (row := row_in(holder, rows)) is not None:
        holder, taken = row[0], (row[1], *taken)
        yield holder, taken
