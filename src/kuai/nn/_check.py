"""What layers ask of their inputs, in one place, so that every layer says it the same way."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.tree import here
from kuai.errors import ArgumentError, DtypeError, ShapeError


def as_array(x: Any) -> jax.Array:
    """`x`, if it is an array.

    Raises:
        ArgumentError: it is a list, None, or anything else.
    """
    if isinstance(x, jax.Array):
        return x
    remedy = "wrap it in jnp.asarray(...)" if isinstance(x, (list, tuple, int, float)) else "pass an array"
    raise ArgumentError(f"{here()}: expected an array, got {type(x).__name__} {_brief(x)}; {remedy}")


def as_floating(x: Any) -> jax.Array:
    """`x`, if it is an array of floats.

    Raises:
        DtypeError: its dtype is another.
    """
    array = as_array(x)
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        raise DtypeError(
            f"{here()}: expected a floating input, got {array.dtype} of shape {array.shape}; "
            "cast it with x.astype('float32')"
        )
    return array


def as_integers(x: Any) -> jax.Array:
    """`x`, if it is an array of integers.

    Raises:
        DtypeError: its dtype is another.
    """
    array = as_array(x)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise DtypeError(
            f"{here()}: expected integer indices, got {array.dtype} of shape {array.shape}; "
            "cast them with x.astype('int32')"
        )
    return array


def check_axes(x: jax.Array, at_least: int) -> None:
    """Check the number of axes.

    Raises:
        ShapeError: there are fewer.
    """
    if x.ndim < at_least:
        raise ShapeError(
            f"{here()}: expected an input of at least {at_least} axes, got shape {x.shape}; "
            "add a batch axis with x[None]"
        )


def check_width(x: jax.Array, axis: int, width: int) -> None:
    """Check the size of the axis that the layer's parameters were made for.

    Raises:
        ShapeError: it differs.
    """
    if x.shape[axis] != width:
        raise ShapeError(
            f"{here()}: expected an input with {width} features on axis {axis}, got shape {x.shape}; "
            "give it that width, or make a new layer for the new one"
        )


def check_positive(where: str, name: str, value: Any) -> int:
    """A positive integer.

    Raises:
        ArgumentError: `value` is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{where}: expected {name} to be a positive integer, got {value!r}")
    return value


def check_fraction(where: str, name: str, value: Any) -> float:
    """A number from 0 up to, but not including, 1.

    Raises:
        ArgumentError: `value` is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ArgumentError(f"{where}: expected {name} from 0 up to below 1, got {value!r}")
    return value


def _brief(x: Any) -> str:
    text = repr(x)
    return text if len(text) < 40 else f"{text[:37]}..."
