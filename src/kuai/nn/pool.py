"""Pooling layers: the largest element, or the mean, of windows."""

from __future__ import annotations

from typing import Any, ClassVar

from kuai.core.block import Block
from kuai.nn._check import as_floating, as_ordered
from kuai.nn._spatial import check_layout, check_padding, check_sizes, check_spatial
from kuai.nn.ops.pooling import POOL_PADDINGS, avg_pool, max_pool


class Pooling(Block):
    """What pooling by windows shares: the window and its way."""

    _axes: ClassVar[int]

    def _set_window(
        self, pool: Any, strides: Any, padding: Any, ceil_mode: bool, layout: str
    ) -> None:
        where, axes = type(self).__name__, self._axes
        self.pool = check_sizes(where, "pool", pool, axes)
        self.strides = None if strides is None else check_sizes(where, "strides", strides, axes)
        self.padding = check_padding(where, padding, axes, POOL_PADDINGS)
        self.ceil_mode = ceil_mode
        self.layout = check_layout(where, layout)


class MaxPooling(Pooling):
    """What the largest elements over one, two and three axes share."""

    def __init__(
        self,
        pool: Any,
        strides: Any = None,
        padding: Any = "valid",
        ceil_mode: bool = False,
        layout: str = "channels_last",
    ) -> None:
        super().__init__()
        self._set_window(pool, strides, padding, ceil_mode, layout)

    def forward(self, x: Any) -> Any:
        """The largest element of each window."""
        x = as_ordered(x)
        check_spatial(x, self._axes, self.layout)
        return max_pool(x, self.pool, self.strides, self.padding, self.ceil_mode, self.layout)


class AvgPooling(Pooling):
    """What the means over one, two and three axes share."""

    def __init__(
        self,
        pool: Any,
        strides: Any = None,
        padding: Any = "valid",
        count_padding: bool = True,
        ceil_mode: bool = False,
        layout: str = "channels_last",
    ) -> None:
        super().__init__()
        self._set_window(pool, strides, padding, ceil_mode, layout)
        self.count_padding = count_padding

    def forward(self, x: Any) -> Any:
        """The mean of each window."""
        x = as_floating(x)
        check_spatial(x, self._axes, self.layout)
        return avg_pool(
            x,
            self.pool,
            self.strides,
            self.padding,
            self.count_padding,
            self.ceil_mode,
            self.layout,
        )


class MaxPool2d(MaxPooling):
    """The largest element of each window over two axes.

    Among equal elements the first one of the window, row by row, gets the gradient, as in PyTorch.

    Args:
        pool: size of the window: an integer, or a tuple (height, width).
        strides: from one window to the next; default `pool`. An integer or a tuple.
        padding: "valid" (none, the default), "same" (size / strides windows, rounded up, as in
            Keras), an integer, or for each axis an integer or a pair (low, high), all below `pool`.
            Padding is never the largest.
        ceil_mode: whether a last window that reaches beyond the padded input counts, if it begins
            inside, as in PyTorch, Gluon and Paddle; default False.
        layout: "channels_last" (default), or "channels_first" as in PyTorch, Gluon and Paddle.

    Shape:
        (batch, height, width, channels) → (batch, out height, out width, channels), where out =
        (size + low + high - pool) / strides + 1, rounded down.

    Raises:
        ArgumentError: a size is no positive integer, padding or layout are unknown; when called,
            the input is no array, or the padding is not below `pool`.
        DtypeError: when called, the input is complex. Integers are taken.
        ShapeError: when called, the input has other axes, or is, padded, smaller than the window.

    Example:
        >>> nn.MaxPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    _axes = 2


class MaxPool1d(MaxPooling):
    """The largest element of each window over one axis.

    Args:
        pool: size of the window.
        strides, padding, ceil_mode, layout: as for `MaxPool2d`.

    Shape:
        (batch, length, channels) → (batch, out length, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `MaxPool2d`.

    Example:
        >>> nn.MaxPool1d(2)(jnp.arange(4.0).reshape(1, 4, 1)).ravel().tolist()
        [1.0, 3.0]
    """

    _axes = 1


class MaxPool3d(MaxPooling):
    """The largest element of each window over three axes.

    Args:
        pool: size of the window: an integer, or a tuple (depth, height, width).
        strides, padding, ceil_mode, layout: as for `MaxPool2d`.

    Shape:
        (batch, depth, height, width, channels) → (batch, out depth, out height, out width,
        channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `MaxPool2d`.

    Example:
        >>> nn.MaxPool3d(2)(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).ravel().tolist()
        [7.0]
    """

    _axes = 3


class AvgPool2d(AvgPooling):
    """The mean of each window over two axes, taken in at least float32.

    Args:
        pool: size of the window: an integer, or a tuple (height, width).
        strides: from one window to the next; default `pool`. An integer or a tuple.
        padding: zeros around the input, told as for `MaxPool2d`.
        count_padding: whether these zeros are part of the mean; default True, as in PyTorch, Gluon
            and Flax. Keras and Paddle leave them out.
        ceil_mode: as for `MaxPool2d`; what is beyond the padding is no part of the mean.
        layout: "channels_last" (default), or "channels_first" as in PyTorch, Gluon and Paddle.

    Shape:
        (batch, height, width, channels) → (batch, out height, out width, channels), as for
        `MaxPool2d`, in the dtype of the input.

    Raises:
        ArgumentError: a size is no positive integer, padding or layout are unknown; when called,
            the input is no array, or the padding is not below `pool`.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has other axes, or is, padded, smaller than the window.

    Example:
        >>> nn.AvgPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """

    _axes = 2


class AvgPool1d(AvgPooling):
    """The mean of each window over one axis, taken in at least float32.

    Args:
        pool: size of the window.
        strides, padding, count_padding, ceil_mode, layout: as for `AvgPool2d`.

    Shape:
        (batch, length, channels) → (batch, out length, channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AvgPool2d`.

    Example:
        >>> nn.AvgPool1d(2)(jnp.arange(4.0).reshape(1, 4, 1)).ravel().tolist()
        [0.5, 2.5]
    """

    _axes = 1


class AvgPool3d(AvgPooling):
    """The mean of each window over three axes, taken in at least float32.

    Args:
        pool: size of the window: an integer, or a tuple (depth, height, width).
        strides, padding, count_padding, ceil_mode, layout: as for `AvgPool2d`.

    Shape:
        (batch, depth, height, width, channels) → (batch, out depth, out height, out width,
        channels).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `AvgPool2d`.

    Example:
        >>> nn.AvgPool3d(2)(jnp.arange(8.0).reshape(1, 2, 2, 2, 1)).ravel().tolist()
        [3.5]
    """

    _axes = 3
