"""Stored values and what the user reads and writes in their place."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from kuai.core.context import context
from kuai.core.parameter import ARRAY_TYPES, Holder, State

_NUMBERS = (int, float, complex, np.generic)


def resolve(value: Any) -> Any:
    """What the user reads for a stored value: a holder's array, a tuple with arrays in it."""
    if isinstance(value, Holder):
        array = value.read()
        return array if isinstance(value, State) else computed(array)
    if isinstance(value, tuple) and holds_arrays(value):
        return rebuilt(value, [resolve(item) for item in tuple.__iter__(value)])
    return value


def computed(array: Any) -> Any:
    """A parameter's or constant's array in the dtype that a policy in force computes in."""
    dtype = context.compute_dtype
    if dtype is None or array.dtype == dtype or not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return array.astype(dtype)


def holds_arrays(value: Any) -> bool:
    """Whether reading `value` must go through `resolve`."""
    if isinstance(value, tuple):
        return any(map(holds_arrays, tuple.__iter__(value)))
    return isinstance(value, Holder)


def rebuilt(original: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """A tuple of the same kind with other items; the original where they are the same."""
    if all(new is old for new, old in zip(items, tuple.__iter__(original), strict=True)):
        return original
    make = getattr(type(original), "_make", None)
    return make(items) if make else tuple(items)


def only_writes(stored: Any, value: Any) -> bool:
    """Whether assigning `value` over `stored` sets a holder's array and changes no structure."""
    return isinstance(stored, Holder) and isinstance(value, (*ARRAY_TYPES, *_NUMBERS))


def written(stored: Any, value: Any) -> bool:
    """Whether assigning `value` over `stored` sets a holder's array, and did so here."""
    if not only_writes(stored, value):
        return False
    if isinstance(stored, State) and not stored.persistent and isinstance(value, ARRAY_TYPES):
        stored.reshape(value)
    stored.write(value)
    return True
