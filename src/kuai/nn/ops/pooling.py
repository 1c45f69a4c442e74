"""Pooling as pure functions of arrays, one axis after the other.

The largest element of a window is found by comparing slices that hold its first, its second element
and so on, not by XLA's windowed reduction, whose gradient takes ten times as long on CPU. The last
axis is reduced first and a later element wins only if it is larger, so that among equals the first
one, row by row, gets the gradient, as in PyTorch. Sums are windowed reductions: one axis at a time
they are as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn._dtypes import as_one_program, widened
from kuai.nn._spatial import (
    Padding,
    Sizes,
    check_any_spatial,
    check_fits,
    check_layout,
    check_padding,
    padding_pairs,
    per_axis,
    spatial_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

POOL_PADDINGS = ("valid", "same")
_FEW = 8
_ONE_ELEMENT = (1, 1, 0, 0, 0)


class Window(NamedTuple):
    """A window and its way along one axis.

    Attributes:
        axis: of the input.
        size, stride: of the window.
        low, high: padding.
        beyond: what the last window takes behind the padding, where sizes are rounded up.
    """

    axis: int
    size: int
    stride: int
    low: int
    high: int
    beyond: int


def max_pool(
    x: Shaped[jax.Array, "*shape"],
    pool: Sizes,
    strides: Sizes | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    layout: str = "channels_last",
) -> Shaped[jax.Array, "*out_shape"]:
    """The largest element of each window; among equals the first one gets the gradient.

    Args:
        x: the input, also of integers.
        pool: size of the window: an integer, or one for each spatial axis.
        strides: from one window to the next; default `pool`.
        padding: "valid" (none, the default), "same", an integer, or for each axis an integer or a
            pair (low, high), all below the window's size. Padding is never the largest.
        ceil_mode: whether a last window that reaches beyond the padded input counts, if it begins
            inside; default False.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, *sizes, channels) → (batch, *out, channels), where out = (size + low + high - pool)
        / strides + 1, rounded down.

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: x has no or more than three spatial axes, or is smaller than the window.

    Example:
        >>> from kuai.nn import ops
        >>> ops.max_pool(jnp.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1), 2).ravel().tolist()
        [3.0, 2.0]
    """
    return _max_pool(x, _windows(x, pool, strides, padding, ceil_mode, layout))


@as_one_program
def _max_pool(x: jax.Array, windows: tuple[Window, ...]) -> jax.Array:
    for window in reversed(windows):
        x = max_along(x, window)
    return x


def avg_pool(
    x: Float[jax.Array, "*shape"],
    pool: Sizes,
    strides: Sizes | None = None,
    padding: Padding = "valid",
    count_padding: bool = True,
    ceil_mode: bool = False,
    layout: str = "channels_last",
) -> Float[jax.Array, "*out_shape"]:
    """The mean of each window, taken in at least float32.

    Args:
        x: the input.
        pool: size of the window: an integer, or one for each spatial axis.
        strides: from one window to the next; default `pool`.
        padding: zeros around the input, as for `max_pool`.
        count_padding: whether these zeros are part of the mean; default True.
        ceil_mode: as for `max_pool`; what is beyond the padding is no part of the mean.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        As for `max_pool`.

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: x has no or more than three spatial axes, or is smaller than the window.

    Example:
        >>> from kuai.nn import ops
        >>> ops.avg_pool(jnp.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1), 2).ravel().tolist()
        [2.0, 1.0]
    """
    return _avg_pool(x, _windows(x, pool, strides, padding, ceil_mode, layout), count_padding)


@as_one_program
def _avg_pool(x: jax.Array, windows: tuple[Window, ...], count_padding: bool) -> jax.Array:
    y = x.astype(widened(x.dtype))
    for window in windows:
        total = _sum_along(y, window)
        counts = _counts(x.shape[window.axis], total.shape[window.axis], window, count_padding)
        y = total / along(counts.astype(y.dtype), y.ndim, window.axis)
    return y.astype(x.dtype)


def _windows(
    x: jax.Array, pool: Any, strides: Any, padding: Any, ceil_mode: bool, layout: str
) -> tuple[Window, ...]:
    """The windows along the spatial axes, but for those that take each element by itself."""
    check_layout(here(), layout)
    axes = check_any_spatial(x, layout)
    sizes = per_axis("pool", pool, axes)
    steps = sizes if strides is None else per_axis("strides", strides, axes)
    padding = check_padding(here(), padding, axes, POOL_PADDINGS)
    lengths = tuple(x.shape[axis] for axis in spatial_axes(x, layout))
    pairs = padding_pairs(padding, lengths, sizes, steps)
    check_fits(lengths, sizes, pairs)
    _check_padding_below(sizes, pairs)
    windows = (
        Window(axis, size, step, *pair, _beyond(n, size, step, pair) if ceil_mode else 0)
        for axis, n, size, step, pair in zip(
            spatial_axes(x, layout), lengths, sizes, steps, pairs, strict=True
        )
    )
    return tuple(window for window in windows if window[1:] != _ONE_ELEMENT)


def _check_padding_below(sizes: tuple[int, ...], pairs: Any) -> None:
    """A window that lies in the padding altogether would have no element."""
    if any(max(pair) >= size for pair, size in zip(pairs, sizes, strict=True)):
        raise ArgumentError(
            f"{here()}: expected padding below the window's size {sizes}, got {pairs}; use less "
            "padding or a larger window"
        )


def _beyond(length: int, size: int, stride: int, pair: tuple[int, int]) -> int:
    """How far a last window reaches beyond the padding, if it begins in front of the high side."""
    left = length + sum(pair) - size
    steps = -(-left // stride)
    if steps * stride >= length + pair[0]:
        steps -= 1
    return max(steps * stride - left, 0)


def max_along(x: jax.Array, window: Window) -> jax.Array:
    """The largest of each window along one axis, the first of equals."""
    axis, size, stride, low, high, beyond = window
    x = _padded(x, axis, low, high + beyond, lowest(x.dtype))
    if size > _FEW:
        return lax.slice_in_dim(_running_max(x, axis, size), 0, None, stride, axis)
    last = x.shape[axis] - size
    taken = lax.slice_in_dim(x, 0, last + 1, stride, axis)
    for offset in range(1, size):
        taken = _later_if_larger(
            taken, lax.slice_in_dim(x, offset, offset + last + 1, stride, axis)
        )
    return taken


def _running_max(x: jax.Array, axis: int, size: int) -> jax.Array:
    """The largest of `size` elements from each one on, by joining windows of half the size."""
    width = 1
    while width < size:
        step = min(width, size - width)
        ahead = lax.slice_in_dim(x, step, None, 1, axis)
        x = _later_if_larger(lax.slice_in_dim(x, 0, -step, 1, axis), ahead)
        width += step
    return x


def _later_if_larger(first: jax.Array, later: jax.Array) -> jax.Array:
    is_nan = later != later
    return jnp.where((later > first) | is_nan, later, first)


def _sum_along(x: jax.Array, window: Window) -> jax.Array:
    axis, size, stride, low, high, beyond = window

    def only_here(value: Any, others: Any) -> list[Any]:
        return [value if other == axis else others for other in range(x.ndim)]

    return lax.reduce_window(
        x,
        np.zeros((), x.dtype),
        lax.add,
        only_here(size, 1),
        only_here(stride, 1),
        only_here((low, high + beyond), (0, 0)),
    )


def _counts(length: int, windows: int, window: Window, count_padding: bool) -> np.ndarray:
    """How many elements of the input, or of the padded input, each window has along its axis."""
    starts = np.arange(windows) * window.stride - window.low
    first, last = (-window.low, length + window.high) if count_padding else (0, length)
    return np.minimum(starts + window.size, last) - np.maximum(starts, first)


def _padded(x: jax.Array, axis: int, low: int, high: int, fill: Any) -> jax.Array:
    config = [(low, high, 0) if other == axis else (0, 0, 0) for other in range(x.ndim)]
    return lax.pad(x, fill, config)


def along(values: np.ndarray, axes: int, axis: int) -> np.ndarray:
    """An array that broadcasts along `axis` and those behind it that it has."""
    return values.reshape(*(1,) * axis, *values.shape, *(1,) * (axes - axis - values.ndim))


def lowest(dtype: Any) -> jax.Array:
    """What no element is below."""
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.asarray(-jnp.inf, dtype)
    smallest = jnp.iinfo(dtype).min if jnp.issubdtype(dtype, jnp.integer) else False
    return jnp.asarray(smallest, dtype)
