"""Pooling layers over all of the spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
from jax import lax

from kuai.core.block import Block
from kuai.nn._check import as_floating, as_ordered
from kuai.nn._spatial import check_layout, check_spatial, spatial_axes
from kuai.nn.ops.adaptive_pooling import adaptive_avg_pool, adaptive_max_pool


class Global(Block):
    """What global pooling shares."""

    _axes: ClassVar[int]

    def __init__(self, keep_axes: bool = False, layout: str = "channels_last") -> None:
        super().__init__()
        self.keep_axes = keep_axes
        self.layout = check_layout(type(self).__name__, layout)

    def _kept_or_not(self, pooled: jax.Array) -> jax.Array:
        return pooled if self.keep_axes else lax.squeeze(pooled, spatial_axes(pooled, self.layout))


class GlobalAvgPooling(Global):
    """What the means over one, two and three axes share."""

    def forward(self, x: Any) -> Any:
        """The mean of each channel."""
        x = as_floating(x)
        check_spatial(x, self._axes, self.layout)
        return self._kept_or_not(adaptive_avg_pool(x, 1, self.layout))


class GlobalMaxPooling(Global):
    """What the largest elements over one, two and three axes share."""

    def forward(self, x: Any) -> Any:
        """The largest element of each channel."""
        x = as_ordered(x)
        check_spatial(x, self._axes, self.layout)
        return self._kept_or_not(adaptive_max_pool(x, 1, self.layout))


class GlobalAvgPool2d(GlobalAvgPooling):
    """The mean of each channel over two axes, taken in at least float32.

    Args:
        keep_axes: whether the pooled axes stay, with size 1, as in Gluon; default False, as in
            Keras.
        layout: "channels_last" (default), or "channels_first" as in Gluon.

    Shape:
        (batch, height, width, channels) → (batch, channels), or (batch, 1, 1, channels).

    Raises:
        ArgumentError: the layout is unknown; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has other axes, or no elements.

    Example:
        >>> nn.GlobalAvgPool2d()(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[1.5]]

    Reference:
        Lin et al., "Network in network" (2013).
    """

    _axes = 2


class GlobalAvgPool1d(GlobalAvgPooling):
    """The mean of each channel over one axis, taken in at least float32.

    Args:
        keep_axes, layout: as for `GlobalAvgPool2d`.

    Shape:
        (batch, length, channels) → (batch, channels), or (batch, 1, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `GlobalAvgPool2d`.

    Example:
        >>> nn.GlobalAvgPool1d()(jnp.arange(4.0).reshape(1, 4, 1)).tolist()
        [[1.5]]
    """

    _axes = 1


class GlobalAvgPool3d(GlobalAvgPooling):
    """The mean of each channel over three axes, taken in at least float32.

    Args:
        keep_axes, layout: as for `GlobalAvgPool2d`.

    Shape:
        (batch, depth, height, width, channels) → (batch, channels), or (batch, 1, 1, 1, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `GlobalAvgPool2d`.

    Example:
        >>> nn.GlobalAvgPool3d()(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[3.5]]
    """

    _axes = 3


class GlobalMaxPool2d(GlobalMaxPooling):
    """The largest element of each channel over two axes.

    Among equal elements the first one, row by row, gets the gradient.

    Args:
        keep_axes: whether the pooled axes stay, with size 1, as in Gluon; default False, as in
            Keras.
        layout: "channels_last" (default), or "channels_first" as in Gluon.

    Shape:
        (batch, height, width, channels) → (batch, channels), or (batch, 1, 1, channels).

    Raises:
        ArgumentError: the layout is unknown; when called, the input is no array.
        DtypeError: when called, the input is complex. Integers are taken.
        ShapeError: when called, the input has other axes, or no elements.

    Example:
        >>> nn.GlobalMaxPool2d()(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[3.0]]
    """

    _axes = 2


class GlobalMaxPool1d(GlobalMaxPooling):
    """The largest element of each channel over one axis.

    Args:
        keep_axes, layout: as for `GlobalMaxPool2d`.

    Shape:
        (batch, length, channels) → (batch, channels), or (batch, 1, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `GlobalMaxPool2d`.

    Example:
        >>> nn.GlobalMaxPool1d()(jnp.arange(4.0).reshape(1, 4, 1)).tolist()
        [[3.0]]
    """

    _axes = 1


class GlobalMaxPool3d(GlobalMaxPooling):
    """The largest element of each channel over three axes.

    Args:
        keep_axes, layout: as for `GlobalMaxPool2d`.

    Shape:
        (batch, depth, height, width, channels) → (batch, channels), or (batch, 1, 1, 1, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `GlobalMaxPool2d`.

    Example:
        >>> nn.GlobalMaxPool3d()(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).tolist()
        [[7.0]]
    """

    _axes = 3
