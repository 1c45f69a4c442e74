"""Pooling over a given number of regions, whatever the size of the input, one axis at a time."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.core.tree import here
from kuai.nn._dtypes import as_one_program, widened
from kuai.nn._spatial import check_any_spatial, check_layout, check_sizes, spatial_axes
from kuai.nn.ops.pooling import Window, along, lowest, max_along

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def adaptive_max_pool(
    x: Shaped[jax.Array, "*shape"], size: Any, layout: str = "channels_last"
) -> Shaped[jax.Array, "*out_shape"]:
    """The largest element of each of `size` regions that cover the input evenly.

    Region i of m along an axis of n elements goes from floor(i n / m) up to below
    ceil((i + 1) n / m): neighbours may share an element.

    Args:
        x: the input, also of integers.
        size: number of regions: an integer, or for each spatial axis one or None for as many as
            there are elements.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, *sizes, channels) → (batch, *size, channels).

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: x has no or more than three spatial axes.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 3.0, 2.0]).reshape(1, 3, 1)
        >>> ops.adaptive_max_pool(x, 2).ravel().tolist()
        [3.0, 3.0]
    """
    return _max_of_regions(x, _targets(x, size, layout))


@as_one_program
def _max_of_regions(x: jax.Array, targets: tuple[tuple[int, int], ...]) -> jax.Array:
    for axis, count in reversed(targets):
        regions, _ = _regions(x, axis, count, lowest(x.dtype))
        longest = regions.shape[axis + 1]
        whole = Window(axis + 1, longest, longest, 0, 0, 0)
        x = lax.squeeze(max_along(regions, whole), (axis + 1,))
    return x


def adaptive_avg_pool(
    x: Float[jax.Array, "*shape"], size: Any, layout: str = "channels_last"
) -> Float[jax.Array, "*out_shape"]:
    """The mean of each of `size` regions that cover the input evenly, in at least float32.

    Args:
        x: the input.
        size: number of regions, as for `adaptive_max_pool`, whose regions these are.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, *sizes, channels) → (batch, *size, channels).

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: x has no or more than three spatial axes.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 3.0, 2.0]).reshape(1, 3, 1)
        >>> ops.adaptive_avg_pool(x, 2).ravel().tolist()
        [2.0, 2.5]
    """
    return _mean_of_regions(x, _targets(x, size, layout))


@as_one_program
def _mean_of_regions(x: jax.Array, targets: tuple[tuple[int, int], ...]) -> jax.Array:
    y = x.astype(widened(x.dtype))
    for axis, count in targets:
        regions, lengths = _regions(y, axis, count, jnp.zeros((), y.dtype))
        y = regions.sum(axis + 1) / along(lengths.astype(y.dtype), y.ndim, axis)
    return y.astype(x.dtype)


def check_regions(where: str, size: Any, axes: int) -> Any:
    """A number of regions, or a tuple of one or None for each of the axes.

    Raises:
        ArgumentError: it is neither.
    """
    if not isinstance(size, (tuple, list)):
        return check_sizes(where, "size", size, axes)
    check_sizes(where, "size", [1 if count is None else count for count in size], axes)
    return tuple(count if count is None else operator.index(count) for count in size)


def _targets(x: jax.Array, size: Any, layout: str) -> tuple[tuple[int, int], ...]:
    """(axis, number of regions) for each spatial axis that does not stay as it is."""
    check_layout(here(), layout)
    axes = check_any_spatial(x, layout)
    checked = check_regions(here(), size, axes)
    counts = checked if isinstance(checked, tuple) else (checked,) * axes
    targets = zip(spatial_axes(x, layout), counts, strict=True)
    return tuple((axis, n) for axis, n in targets if n not in (None, x.shape[axis]))


def _regions(x: jax.Array, axis: int, count: int, fill: Any) -> tuple[jax.Array, np.ndarray]:
    """The regions along an axis as an axis of their own behind it, and how many elements each has.

    Shorter regions end in `fill`.
    """
    length = x.shape[axis]
    starts = np.arange(count) * length // count
    lengths = -(-np.arange(1, count + 1) * length // count) - starts
    if length % count == 0:
        shape = (*x.shape[:axis], count, length // count, *x.shape[axis + 1 :])
        return x.reshape(shape), lengths
    places = starts[:, None] + np.arange(lengths.max())
    inside = along(np.arange(lengths.max()) < lengths[:, None], x.ndim + 1, axis)
    return jnp.where(inside, jnp.take(x, np.minimum(places, length - 1), axis), fill), lengths
