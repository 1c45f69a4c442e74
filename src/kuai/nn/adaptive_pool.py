"""Pooling layers whose output has a given size, whatever the size of the input."""

from __future__ import annotations

from typing import Any, ClassVar

from kuai.core.block import Block
from kuai.nn._check import as_floating, as_ordered
from kuai.nn._spatial import check_layout, check_spatial
from kuai.nn.ops.adaptive_pooling import adaptive_avg_pool, adaptive_max_pool, check_regions


class Adaptive(Block):
    """What adaptive pooling shares."""

    _axes: ClassVar[int]

    def __init__(self, size: Any, layout: str = "channels_last") -> None:
        super().__init__()
        where = type(self).__name__
        self.size = check_regions(where, size, self._axes)
        self.layout = check_layout(where, layout)


class AdaptiveAvgPooling(Adaptive):
    """What the means of regions over one, two and three axes share."""

    def forward(self, x: Any) -> Any:
        """The mean of each region."""
        x = as_floating(x)
        check_spatial(x, self._axes, self.layout)
        return adaptive_avg_pool(x, self.size, self.layout)


class AdaptiveMaxPooling(Adaptive):
    """What the largest elements of regions over one, two and three axes share."""

    def forward(self, x: Any) -> Any:
        """The largest element of each region."""
        x = as_ordered(x)
        check_spatial(x, self._axes, self.layout)
        return adaptive_max_pool(x, self.size, self.layout)


class AdaptiveAvgPool2d(AdaptiveAvgPooling):
    """The mean of each of a given number of regions over two axes, taken in at least float32.

    Region i of m along an axis of n elements goes from floor(i n / m) up to below
    ceil((i + 1) n / m), as in PyTorch and Paddle: neighbours may share elements. Keras has shapes
    that m divides only.

    Args:
        size: of the output: an integer, or a tuple (height, width), with None for an axis that
            stays as it is.
        layout: "channels_last" (default), or "channels_first" as in PyTorch and Paddle.

    Shape:
        (batch, height, width, channels) → (batch, *size, channels), in the dtype of the input.

    Raises:
        ArgumentError: a size is no positive integer, or the layout is unknown; when called, the
            input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has other axes, or no elements.

    Example:
        >>> nn.AdaptiveAvgPool2d(2)(jnp.arange(9.0).reshape(1, 3, 3, 1)).ravel().tolist()
        [2.0, 3.0, 5.0, 6.0]
    """

    _axes = 2


class AdaptiveAvgPool1d(AdaptiveAvgPooling):
    """The mean of each of a given number of regions over one axis, taken in at least float32.

    Args:
        size: of the output.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, length, channels) → (batch, size, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AdaptiveAvgPool2d`.

    Example:
        >>> nn.AdaptiveAvgPool1d(2)(jnp.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
        [0.5, 1.5]
    """

    _axes = 1


class AdaptiveAvgPool3d(AdaptiveAvgPooling):
    """The mean of each of a given number of regions over three axes, taken in at least float32.

    Args:
        size: of the output: an integer, or a tuple (depth, height, width), with None for an axis
            that stays as it is.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, depth, height, width, channels) → (batch, *size, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AdaptiveAvgPool2d`.

    Example:
        >>> nn.AdaptiveAvgPool3d(1)(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).ravel().tolist()
        [3.5]
    """

    _axes = 3


class AdaptiveMaxPool2d(AdaptiveMaxPooling):
    """The largest element of each of a given number of regions over two axes.

    The regions are those of `AdaptiveAvgPool2d`; among equal elements the first one of a region,
    row by row, gets the gradient, as in PyTorch.

    Args:
        size: of the output: an integer, or a tuple (height, width), with None for an axis that
            stays as it is.
        layout: "channels_last" (default), or "channels_first" as in PyTorch and Paddle.

    Shape:
        (batch, height, width, channels) → (batch, *size, channels).

    Raises:
        ArgumentError: a size is no positive integer, or the layout is unknown; when called, the
            input is no array.
        DtypeError: when called, the input is complex. Integers are taken.
        ShapeError: when called, the input has other axes, or no elements.

    Example:
        >>> nn.AdaptiveMaxPool2d(2)(jnp.arange(9.0).reshape(1, 3, 3, 1)).ravel().tolist()
        [4.0, 5.0, 7.0, 8.0]
    """

    _axes = 2


class AdaptiveMaxPool1d(AdaptiveMaxPooling):
    """The largest element of each of a given number of regions over one axis.

    Args:
        size: of the output.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, length, channels) → (batch, size, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AdaptiveMaxPool2d`.

    Example:
        >>> nn.AdaptiveMaxPool1d(2)(jnp.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
        [1.0, 2.0]
    """

    _axes = 1


class AdaptiveMaxPool3d(AdaptiveMaxPooling):
    """The largest element of each of a given number of regions over three axes.

    Args:
        size: of the output: an integer, or a tuple (depth, height, width), with None for an axis
            that stays as it is.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, depth, height, width, channels) → (batch, *size, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AdaptiveMaxPool2d`.

    Example:
        >>> nn.AdaptiveMaxPool3d(1)(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).ravel().tolist()
        [7.0]
    """

    _axes = 3
