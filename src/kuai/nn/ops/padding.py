"""Padding of spatial axes as a pure function of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._spatial import (
    Padding,
    Pairs,
    check_any_spatial,
    check_layout,
    check_padding,
    padding_pairs,
    spatial_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Shaped

_METHODS = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(
    x: Shaped[jax.Array, "*shape"],
    padding: Padding,
    method: str = "constant",
    value: int | float = 0.0,
    layout: str = "channels_last",
) -> Shaped[jax.Array, "*out_shape"]:
    """Elements more around the spatial axes.

    Args:
        x: the input.
        padding: how many: an integer, or for each spatial axis an integer or a pair (low, high).
        method: which: "constant" (`value`, the default), "reflect" (as in a mirror on the outermost
            element, which is not repeated), "replicate" (the outermost element) or "circular" (from
            the other end).
        value: for method "constant"; default 0.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, *sizes, channels) → (batch, *(low + size + high), channels).

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: x has no or more than three spatial axes, or fewer elements than are to be
            reflected or taken from the other end.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> ops.pad(x, 2, "reflect").ravel().tolist()
        [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    """
    check_layout(here(), layout)
    axes = check_any_spatial(x, layout)
    name = _METHODS[check_method(here(), method)]
    lengths = tuple(x.shape[axis] for axis in spatial_axes(x, layout))
    pairs = padding_pairs(check_padding(here(), padding, axes, ()), lengths, (), ())
    _check_enough(lengths, pairs, method)
    config = [(0, 0)] * x.ndim
    for axis, pair in zip(spatial_axes(x, layout), pairs, strict=True):
        config[axis] = pair
    if name == "constant":
        return jnp.pad(x, config, constant_values=jnp.asarray(value, x.dtype))
    return jnp.pad(x, config, name)


def check_method(where: str, method: Any) -> str:
    """The name of a way to pad.

    Raises:
        ArgumentError: it is another.
    """
    if method not in _METHODS:
        raise ArgumentError(
            f"{where}: expected method {', '.join(map(repr, _METHODS))}, got {method!r}; write for "
            "example method='reflect'"
        )
    return str(method)


def _check_enough(lengths: tuple[int, ...], pairs: Pairs, method: str) -> None:
    """Some systems go on by reflecting what they reflected; most refuse, as more than a mistake."""
    most = {"reflect": -1, "circular": 0}
    if method in most and any(
        max(pair) > n + most[method] for n, pair in zip(lengths, pairs, strict=True)
    ):
        limits = tuple(n + most[method] for n in lengths)
        raise ShapeError(
            f"{here()}: expected padding of at most {limits} for method {method!r} on an input of "
            f"{lengths}, got {pairs}; use less padding or a larger input"
        )
