"""What layers with spatial axes share: a value for each axis, paddings, layouts, and their checks.

A value for each axis is an integer for all of them or a tuple with one for each. A padding is a
name, an integer, or a tuple with an integer or a (low, high) pair for each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._check import check_count, whole_number

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]
Pairs = tuple[tuple[int, int], ...]

_NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def check_sizes(where: str, name: str, value: Any, axes: int, *, at_least: int = 1) -> Any:
    """An integer as it is, or a tuple of one for each of the axes.

    Raises:
        ArgumentError: `value` is neither, or an integer is too small.
    """
    if not isinstance(value, (tuple, list)):
        return check_count(where, name, value, at_least=at_least)
    if len(value) != axes:
        raise ArgumentError(
            f"{where}: expected {name} to be an integer or a tuple of {axes}, got {value!r}; "
            f"write for example {name}={(at_least + 1,) * axes}"
        )
    return tuple(check_count(where, name, item, at_least=at_least) for item in value)


def per_axis(name: str, value: Any, axes: int, *, at_least: int = 1) -> tuple[int, ...]:
    """One integer for each of the axes, for the function that runs here.

    Raises:
        ArgumentError: as for `check_sizes`.
    """
    return sizes_of(check_sizes(here(), name, value, axes, at_least=at_least), axes)


def sizes_of(checked: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    """One integer for each of the axes, from what `check_sizes` gave."""
    return checked if isinstance(checked, tuple) else (checked,) * axes


def check_padding(where: str, padding: Any, axes: int, names: tuple[str, ...]) -> Any:
    """A padding as it was given, with tuples for lists.

    Raises:
        ArgumentError: it is none of the names, and no number or tuple of numbers of at least 0.
    """
    if isinstance(padding, str) and padding in names:
        return padding
    number = _amount(padding)
    if number is not None:
        return number
    sides = tuple(map(_side, padding)) if isinstance(padding, (tuple, list)) else ()
    if len(sides) == axes and None not in sides:
        return sides
    known = "".join(f"{name!r}, " for name in names)
    raise ArgumentError(
        f"{where}: expected padding to be {known}an integer of at least 0, or for each of {axes} "
        f"{'axis' if axes == 1 else 'axes'} one or a (low, high) pair, got {padding!r}; write for "
        f"example padding=1 or padding={((1, 2),) * axes}"
    )


def _amount(value: Any) -> int | None:
    number = whole_number(value)
    return number if number is not None and number >= 0 else None


def _side(value: Any) -> int | tuple[int | None, ...] | None:
    if not isinstance(value, (tuple, list)):
        return _amount(value)
    pair = tuple(map(_amount, value))
    return pair if len(pair) == 2 and None not in pair else None


def padding_pairs(
    padding: Any, sizes: Sequence[int], reaches: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """(low, high) for each axis.

    Args:
        padding: as `check_padding` gave it.
        sizes: of the input.
        reaches: from the first to the last element that a window takes, both counted.
        strides: from one window to the next.
    """
    if padding == "valid":
        return ((0, 0),) * len(sizes)
    if padding == "causal":
        return tuple((reach - 1, 0) for reach in reaches)
    if padding == "same":
        along = zip(sizes, reaches, strides, strict=True)
        return tuple(_same(n, reach, stride) for n, reach, stride in along)
    items = padding if isinstance(padding, tuple) else (padding,) * len(sizes)
    return tuple(item if isinstance(item, tuple) else (item, item) for item in items)


def _same(length: int, reach: int, stride: int) -> tuple[int, int]:
    """The padding that gives length / stride windows, rounded up."""
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def check_fits(sizes: Sequence[int], reaches: Sequence[int], pairs: Pairs) -> None:
    """Check that a kernel or window finds room in the padded input.

    Raises:
        ShapeError: it does not, along some axis.
    """
    padded = tuple(n + low + high for n, (low, high) in zip(sizes, pairs, strict=True))
    if any(n < reach for n, reach in zip(padded, reaches, strict=True)):
        raise ShapeError(
            f"{here()}: expected a padded input no smaller than the kernel reaches, "
            f"{tuple(reaches)}, got {padded}; use a smaller kernel, more padding or a larger input"
        )


def check_layout(where: str, layout: Any) -> str:
    """The name of a layout.

    Raises:
        ArgumentError: it is another.
    """
    if layout not in ("channels_last", "channels_first"):
        raise ArgumentError(
            f"{where}: expected layout 'channels_last' or 'channels_first', got {layout!r}; "
            "write for example layout='channels_last'"
        )
    return str(layout)


def channel_axis(layout: str) -> int:
    """The axis of the channels."""
    return -1 if layout == "channels_last" else 1


def spatial_axes(x: jax.Array, layout: str) -> range:
    """The axes between batch and channels, or behind both."""
    return range(1, x.ndim - 1) if layout == "channels_last" else range(2, x.ndim)


def check_spatial(x: jax.Array, axes: int, layout: str) -> None:
    """Check that an input has a batch, `axes` spatial axes with elements on them, and channels.

    Raises:
        ShapeError: it has other axes, or nothing on one of them.
    """
    if x.ndim != axes + 2:
        remedy = "add a batch axis with x[None]" if x.ndim == axes + 1 else "reshape it"
        raise ShapeError(f"{_expected(axes, layout)}, got shape {x.shape}; {remedy}")
    if 0 in (x.shape[axis] for axis in spatial_axes(x, layout)):
        raise ShapeError(
            f"{_expected(axes, layout)} with at least one element on each spatial axis, got shape "
            f"{x.shape}; look at what made it"
        )


def _expected(axes: int, layout: str) -> str:
    names = _NAMES[axes]
    shape = (*names, "channels") if layout == "channels_last" else ("channels", *names)
    return f"{here()}: expected an input of shape (batch, {', '.join(shape)})"


def check_any_spatial(x: jax.Array, layout: str) -> int:
    """Check an input with one, two or three spatial axes; how many it has.

    Raises:
        ShapeError: it has other axes, or nothing on one of them.
    """
    axes = x.ndim - 2
    if axes not in _NAMES:
        raise ShapeError(
            f"{here()}: expected an input with a batch axis, one to three spatial axes and "
            f"channels, got shape {x.shape}; reshape it"
        )
    check_spatial(x, axes, layout)
    return axes


def with_channels_last(x: jax.Array, layout: str) -> jax.Array:
    """`x` with its channels on the last axis."""
    return x if layout == "channels_last" else jnp.moveaxis(x, 1, -1)


def with_layout(x: jax.Array, layout: str) -> jax.Array:
    """`x`, whose channels are on the last axis, in a layout."""
    return x if layout == "channels_last" else jnp.moveaxis(x, -1, 1)
