"""Channels that become places, and places that become channels, as pure functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax

from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn._check import check_count
from kuai.nn._spatial import check_layout, check_spatial, with_channels_last, with_layout

if TYPE_CHECKING:
    from jaxtyping import Shaped


def pixel_shuffle(
    x: Shaped[jax.Array, "*shape"], factor: int, layout: str = "channels_last"
) -> Shaped[jax.Array, "*out_shape"]:
    """y[h · factor + i, w · factor + j, c] = x[h, w, (c · factor + i) · factor + j].

    Args:
        x: the input.
        factor: by how much height and width grow.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, height, width, channels · factor²) → (batch, height · factor, width · factor,
        channels).

    Raises:
        ArgumentError: `factor` is no positive integer, or the layout is unknown.
        ShapeError: x has not two spatial axes, or channels that factor² does not divide.

    Example:
        >>> from kuai.nn import ops
        >>> ops.pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 1, 4), 2).reshape(2, 2).tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    x = _checked(x, factor, layout)
    batch, height, width, channels = x.shape
    if channels % factor**2:
        raise ShapeError(
            f"{here()}: expected a multiple of {factor**2} channels, got {channels}; choose the "
            "filters of the layer before accordingly"
        )
    left = channels // factor**2
    parts = x.reshape(batch, height, width, left, factor, factor)
    y = parts.transpose(0, 1, 4, 2, 5, 3).reshape(batch, height * factor, width * factor, left)
    return with_layout(y, layout)


def pixel_unshuffle(
    x: Shaped[jax.Array, "*shape"], factor: int, layout: str = "channels_last"
) -> Shaped[jax.Array, "*out_shape"]:
    """What `pixel_shuffle` by the same factor makes undone.

    Args:
        x: the input.
        factor: by how much height and width shrink.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, height, width, channels) → (batch, height / factor, width / factor, channels ·
        factor²).

    Raises:
        ArgumentError: `factor` is no positive integer, or the layout is unknown.
        ShapeError: x has not two spatial axes, or the factor does not divide them.

    Example:
        >>> from kuai.nn import ops
        >>> ops.pixel_unshuffle(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    x = _checked(x, factor, layout)
    batch, height, width, channels = x.shape
    if height % factor or width % factor:
        raise ShapeError(
            f"{here()}: expected height and width to be multiples of {factor}, got "
            f"{(height, width)}; pad or crop the input"
        )
    parts = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
    y = parts.transpose(0, 1, 3, 5, 2, 4)
    return with_layout(y.reshape(*y.shape[:3], channels * factor**2), layout)


def _checked(x: jax.Array, factor: int, layout: str) -> jax.Array:
    check_count(here(), "factor", factor)
    check_layout(here(), layout)
    check_spatial(x, 2, layout)
    return with_channels_last(x, layout)
