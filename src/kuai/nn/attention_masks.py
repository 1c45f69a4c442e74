"""What attention may look at: masks, biases and lengths, checked and put together."""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.tree import here
from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.nn._check import as_array, as_integers, outside

Shape = tuple[int, int, int, int]  # batch, heads, queries, keys


def as_mask(mask: Any, shape: Shape) -> jax.Array | None:
    """A boolean mask with four axes.

    Raises:
        DtypeError: it is not boolean.
        ShapeError: it does not broadcast to `shape`.
    """
    if mask is None:
        return None
    array = as_array(mask)
    if array.dtype != jnp.bool_:
        raise DtypeError(
            f"{here()}: expected a boolean mask, True where a query may attend to a key, got "
            f"{array.dtype} of shape {array.shape}; write mask=array > 0, or bias=array for "
            "numbers that are added to the scores"
        )
    return _fitted(array, shape, "mask")


def as_bias(bias: Any, shape: Shape) -> jax.Array | None:
    """A floating bias with four axes.

    Raises:
        DtypeError: it is not floating.
        ShapeError: it does not broadcast to `shape`.
    """
    if bias is None:
        return None
    array = as_array(bias)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(
            f"{here()}: expected a floating bias, got {array.dtype} of shape {array.shape}; cast "
            "it, or write mask=array for a boolean mask"
        )
    return _fitted(array, shape, "bias")


def of_lengths(lengths: Any, shape: Shape) -> jax.Array | None:
    """The mask (batch, 1, 1, keys) of the keys that come before a length.

    Raises:
        ArgumentError: a length is below 0 or beyond the keys, and known now.
        DtypeError: they are not integers.
        ShapeError: there is not one for each sequence.
    """
    if lengths is None:
        return None
    array = as_integers(lengths, "key_lengths")
    if array.shape != shape[:1]:
        raise ShapeError(
            f"{here()}: expected key_lengths of shape ({shape[0]},), one for each sequence, got "
            f"{array.shape}; give the lengths of the keys only"
        )
    wrong = outside(array, shape[3])
    if wrong is not None:
        raise ArgumentError(
            f"{here()}: expected key_lengths from 0 to {shape[3]}, the number of keys, got "
            f"{wrong}; look at the data, or pad to the longest"
        )
    return (jnp.arange(shape[3], dtype=array.dtype) < array[:, None])[:, None, None]


def combined(*masks: jax.Array | None) -> jax.Array | None:
    """What all of them allow; None where there is none."""
    found = [mask for mask in masks if mask is not None]
    return functools.reduce(operator.and_, found) if found else None


def _fitted(array: jax.Array, shape: Shape, name: str) -> jax.Array:
    padded = (1,) * (4 - array.ndim) + array.shape
    if array.ndim > 4 or any(a not in (1, n) for a, n in zip(padded, shape, strict=True)):
        raise ShapeError(
            f"{here()}: expected a {name} that broadcasts to (batch, heads, queries, keys) = "
            f"{shape}, got shape {array.shape}; one of keys is {name}[:, None, None, :], one of "
            f"queries and keys {name}[:, None]"
        )
    return array.reshape(padded)
