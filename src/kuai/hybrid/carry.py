"""What a loop on arrays carries from trip to trip, and how its types are found.

A leaf of a carried value is static as long as a trip leaves it as it was, then an array of one
type, and at last, where it can be neither, without a value at the start of each trip. A leaf only
ever moves in that direction, so the search for the types ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.signature import Template
from kuai.errors import CarryError, HybridizeError, UndefinedVariableError
from kuai.hybrid.leaves import (
    NUMBERS,
    Type,
    cast,
    flatten,
    is_array,
    joined,
    same_static,
    told,
    type_of,
)
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.region import Out, Outputs
from kuai.hybrid.undefined import Nothing, Undefined


@dataclass
class Carried:
    """One carried value: its leaves at the start of a trip, and their types where they are arrays.

    Attributes:
        label: its name, for messages.
        where: the loop.
        leaves: initial values; `Undefined` for a leaf without one.
        types: for each leaf its type, or None where it is static or without a value.
        template: how to put the value together.
        original: the value before the loop.
    """

    label: str
    where: Where
    leaves: list[Any]
    types: list[Type | None]
    template: Template
    original: Any

    def arrays(self) -> list[jax.Array]:
        pairs = zip(self.leaves, self.types, strict=True)
        return [cast(leaf, to) for leaf, to in pairs if to is not None]

    def value(self, arrays: Any) -> Any:
        """The value with these arrays in it."""
        pairs = zip(self.leaves, self.types, strict=True)
        return self.template.join([next(arrays) if to is not None else leaf for leaf, to in pairs])

    def after(self, outputs: Outputs, index: int, results: list[Any]) -> list[jax.Array]:
        """Its arrays after a trip."""
        if not any(self.types):
            return []
        pairs = zip(outputs.leaves[index], self.types, strict=True)
        return [
            cast(results[leaf.place] if isinstance(leaf, Out) else leaf, to)
            for leaf, to in pairs
            if to is not None
        ]


def carried(value: Any, label: str, where: Where, counted: bool) -> Carried:
    """A value before the first trip. Numbers are static at first, unless the loop counts them."""
    leaves: list[Any] = []
    template = flatten(value, leaves)
    number = counted and len(leaves) == 1 and isinstance(leaves[0], NUMBERS)
    types = [type_of(leaf) if is_array(leaf) or number else None for leaf in leaves]
    return Carried(label, where, leaves, types, template, value)


def settle(old: Carried, leaves: list[Any], template: Template, certain: bool) -> bool:
    """Move a carried value to where a trip that ended with these leaves wants it.

    Args:
        old: changed in place.
        leaves: at the end of the trip; arrays are `Out`.
        template: of the value at the end of the trip.
        certain: whether at least one trip is made.

    Returns:
        Whether it moved.
    """
    if old.template.key == template.key:
        moved = [_settle_leaf(old, i, leaf, certain) for i, leaf in enumerate(leaves)]
        return any(moved)
    start = old.leaves[0] if len(old.leaves) == 1 else None
    if isinstance(start, Nothing) or (certain and _never_assigned(start)):
        old.leaves, old.types = [], []
        for leaf in leaves:
            to = type_of(leaf.aval) if isinstance(leaf, Out) else None
            old.types.append(to)
            old.leaves.append(leaf if to is None else jnp.zeros(to.shape, to.dtype))
        old.template = template
        return True
    if isinstance(start, Undefined):
        return False
    _lose(old, _structure(old, template))
    return True


def _never_assigned(leaf: Any) -> bool:
    return isinstance(leaf, Undefined) and leaf.error is None


def _lose(old: Carried, error: HybridizeError) -> None:
    old.leaves = []
    old.template = flatten(Undefined(old.label, error), old.leaves)
    old.types = [None]


def _settle_leaf(old: Carried, index: int, end: Any, certain: bool) -> bool:
    start, have = old.leaves[index], old.types[index]
    blank = isinstance(start, Nothing) or (certain and _never_assigned(start))
    if blank and isinstance(end, Out):
        have = type_of(end.aval)
        if have.extended:  # a random key has no zeros to begin with
            return False
        old.leaves[index], old.types[index] = jnp.zeros(have.shape, have.dtype), have
        return True
    if isinstance(start, Nothing) and isinstance(end, NUMBERS):
        old.leaves[index], old.types[index] = jnp.zeros((), type_of(end).dtype), type_of(end)
        return True
    if isinstance(start, Undefined):
        return False
    if isinstance(end, Undefined):
        old.leaves[index], old.types[index] = Undefined(old.label, end.error), None
        return True
    if have is None and not isinstance(end, Out) and _unchanged(start, end):
        return False
    return _settle_type(old, index, start, end)


def _unchanged(start: Any, end: Any) -> bool:
    return same_static(start, end) or (isinstance(start, Nothing) and isinstance(end, Nothing))


def _settle_type(old: Carried, index: int, start: Any, end: Any) -> bool:
    """Let a leaf be an array of a type that holds its values before and after a trip."""
    have = old.types[index]
    kinds = have is not None or isinstance(start, NUMBERS), isinstance(end, (Out, *NUMBERS))
    if not all(kinds):
        shown = type_of(end.aval) if isinstance(end, Out) else end
        old.leaves[index] = Undefined(old.label, _changes(old, have or start, shown))
        old.types[index] = None
        return True
    before = have or type_of(start)
    after = type_of(end.aval if isinstance(end, Out) else end)
    both = joined(before, after)
    if both is None or _narrows(after, both):
        old.leaves[index] = Undefined(old.label, _changes(old, before, after))
        old.types[index] = None
        return True
    old.types[index] = both
    return have is None or both != have


def _narrows(after: Type, both: Type) -> bool:
    """Whether the second trip would compute in a narrower dtype than the first."""
    return not after.weak and after.dtype != both.dtype


def _changes(old: Carried, before: Any, after: Any) -> CarryError:
    same_shape = (
        isinstance(before, Type) and isinstance(after, Type) and before.shape == after.shape
    )
    remedy = (
        f"write {old.label.strip('`')}.astype(...) before the loop"
        if same_shape
        else "give it one shape and kind before the loop (pad it, or start from zeros)"
    )
    return CarryError(
        f"{told_place(old.where)}{old.label} is {told(before)} before a trip of this loop and "
        f"{told(after)} after it; a loop on arrays carries arrays and numbers of one shape and "
        f"dtype: {remedy}"
    )


def _structure(old: Carried, template: Template) -> CarryError:
    return CarryError(
        f"{told_place(old.where)}{old.label} has another structure after a trip of this loop than "
        f"before it ({_told(old.template.key)} before, {_told(template.key)} after); a loop on "
        "arrays carries the same tuples, lists and dicts through all trips: a list cannot grow in "
        "it; write into an array made before the loop with x.at[i].set(...)"
    )


def _told(key: Any) -> str:
    if key == ("leaf",):
        return "one value"
    name = getattr(key[0], "__name__", None) or getattr(key[0][0], "__name__", "structure")
    return f"{name} of {len(key) - 1}"


def after_loop(old: Carried, value: Any) -> Any:
    """What a variable is after the loop: one that each trip sets anew may never have been set."""
    if isinstance(value, Undefined) and value.error is None:
        return Undefined(old.label, _maybe_unset(old))
    return value


def _maybe_unset(old: Carried) -> UndefinedVariableError:
    return UndefinedVariableError(
        f"{told_place(old.where)}{old.label} gets a value only inside this loop on arrays, which "
        "may make no trip, and is used after it; give it a value before the loop"
    )


@dataclass
class Carry:
    """All that a loop carries."""

    values: list[Carried] = field(default_factory=list)

    def start(self) -> list[Any]:
        """The values at the start of a trip, arrays of the right types among them."""
        return [c.value(iter(c.arrays())) for c in self.values]

    def arrays(self) -> list[jax.Array]:
        return [array for c in self.values for array in c.arrays()]

    def settle(self, outputs: Outputs, certain: bool) -> bool:
        ends = zip(self.values, outputs.leaves, outputs.templates, strict=True)
        moved = [settle(old, leaves, template, certain) for old, leaves, template in ends]
        return any(moved)

    def step(self, outputs: Outputs) -> Callable[[list[Any]], list[jax.Array]]:
        """A trip as a function of arrays."""

        def run(arrays: list[Any]) -> list[jax.Array]:
            results = outputs.run(arrays)
            return [a for i, c in enumerate(self.values) for a in c.after(outputs, i, results)]

        return run

    def end(self, arrays: list[Any]) -> list[Any]:
        """The values after the loop."""
        given = iter(arrays)
        return [after_loop(c, c.value(given)) for c in self.values]

    def originals(self) -> list[Any]:
        """The values before it."""
        return [c.original for c in self.values]
