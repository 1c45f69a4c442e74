"""Convolution layers."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.nn._check import as_array, as_floating, check_count, check_width, dtype_of, floating_name
from kuai.nn._spatial import (
    channel_axis,
    check_layout,
    check_padding,
    check_sizes,
    check_spatial,
    sizes_of,
)
from kuai.nn.activation import get, kept
from kuai.nn.ops.convolution import CAUSAL_PADDINGS, CONV_PADDINGS, check_groups, conv, with_bias


class Convolution(Block):
    """What the convolutions over one, two and three axes share: all but the number of axes."""

    _axes: ClassVar[int]
    _paddings: ClassVar[tuple[str, ...]] = CONV_PADDINGS
    weight: Any
    bias: Any

    def __init__(
        self,
        filters: int,
        kernel: Any,
        strides: Any = 1,
        padding: Any = "valid",
        dilation: Any = 1,
        groups: int = 1,
        use_bias: bool = True,
        activation: Any = None,
        init: Any = None,
        bias_init: Any = "zeros",
        layout: str = "channels_last",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        where, axes = type(self).__name__, self._axes
        self.filters = check_count(where, "filters", filters)
        self.kernel = check_sizes(where, "kernel", kernel, axes)
        self.strides = check_sizes(where, "strides", strides, axes)
        self.padding = check_padding(where, padding, axes, self._paddings)
        self.dilation = check_sizes(where, "dilation", dilation, axes)
        self.groups = check_count(where, "groups", groups)
        check_groups(where, self.groups, None, self.filters)
        self.use_bias = use_bias
        self.activation = kept(activation, where)
        self.init, self.bias_init = init, bias_init
        self.layout = check_layout(where, layout)
        dtype = self._given_dtype = floating_name(where, dtype)
        shape = (*sizes_of(self.kernel, axes), None, self.filters)
        self.weight = Parameter(shape=shape, init=init, dtype=dtype)
        self.bias = (
            Parameter(shape=(self.filters,), init=bias_init, dtype=dtype) if use_bias else None
        )

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.Conv2d(2, 3).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the channels of the input."""
        x = as_array(x)
        check_spatial(x, self._axes, self.layout)
        inputs = x.shape[channel_axis(self.layout)]
        check_groups(here(), self.groups, inputs, None)
        kernel = sizes_of(self.kernel, self._axes)
        self.params.weight.settle((*kernel, inputs // self.groups, self.filters))

    def forward(self, x: Any) -> Any:
        """The activation of the convolution, with the bias added."""
        x = as_floating(x)
        check_spatial(x, self._axes, self.layout)
        check_width(x, channel_axis(self.layout), self.weight.shape[-2] * self.groups)
        y = self._convolved(x)
        return get(self.activation)(with_bias(y, self.bias, self.layout))

    def _convolved(self, x: jax.Array) -> jax.Array:
        return conv(
            x, self.weight, self.strides, self.padding, self.dilation, self.groups, self.layout
        )


class Conv2d(Convolution):
    """A convolution over two axes: y = activation(x * W + b).

    y[o] = Σ over k of x[o · stride + k · dilation - low] W[k]: the kernel is not flipped, as in all
    the systems.

    Args:
        filters: number of output channels.
        kernel: its size: an integer, or a tuple (height, width).
        strides: from one output to the next, in elements of the input; default 1. An integer or a
            tuple, as `dilation`.
        padding: zeros around the input. "valid", the default: none. "same": as many as give
            size / stride outputs, rounded up, the odd one at the high side, as in Keras; PyTorch
            knows it for strides of 1 only, where it is the same. An integer, or for each axis an
            integer or a pair (low, high).
        dilation: from one element of the kernel to the next, in elements of the input; default 1.
        groups: parts of the channels, each convolved with filters / groups kernels of its own;
            default 1.
        use_bias: whether b is added; default True.
        activation: a name ("relu"), a function, a block, or None (the default).
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform, as in
            Keras.
        bias_init: initializer of b; default zeros.
        layout: "channels_last" (default), or "channels_first" as in PyTorch, Gluon and Paddle; of
            input and output.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to.

    Shape:
        (batch, height, width, inputs) → (batch, out height, out width, filters), where out = (size
        + low + high - (kernel - 1) · dilation - 1) / stride + 1, rounded down. `weight` (kernel
        height, kernel width, inputs / groups, filters) in both layouts, as in Keras and Flax,
        `bias` (filters,). PyTorch, Gluon and Paddle keep (filters, inputs / groups, kernel height,
        kernel width).

    Raises:
        ArgumentError: a size is no positive integer, `groups` does not divide `filters`, padding,
            layout or activation are unknown, or the dtype is not floating; when called, the input
            is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has other axes, another width than at first, or channels
            that `groups` does not divide; or it is, padded, smaller than the kernel.

    Example:
        >>> net = nn.Conv2d(8, 3, strides=2, padding="same")
        >>> net(jnp.ones((1, 28, 28, 3))).shape, net.weight.shape
        ((1, 14, 14, 8), (3, 3, 3, 8))

    Reference:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
    """

    _axes = 2


class Conv1d(Convolution):
    """A convolution over one axis: y = activation(x * W + b).

    Args:
        filters: number of output channels.
        kernel: its size.
        padding: as for `Conv2d`, or "causal": before the first element only, so that no output
            depends on what comes after it.
        strides, dilation, groups, use_bias, activation, init, bias_init, layout, dtype: as for
            `Conv2d`.

    Shape:
        (batch, length, inputs) → (batch, out length, filters). `weight` (kernel, inputs / groups,
        filters), `bias` (filters,).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `Conv2d`.

    Example:
        >>> nn.Conv1d(4, 3, padding="causal", dilation=2)(jnp.ones((1, 10, 2))).shape
        (1, 10, 4)
    """

    _axes = 1
    _paddings = CAUSAL_PADDINGS


class Conv3d(Convolution):
    """A convolution over three axes: y = activation(x * W + b).

    Args:
        filters: number of output channels.
        kernel: its size: an integer, or a tuple (depth, height, width).
        strides, padding, dilation, groups, use_bias, activation, init, bias_init, layout, dtype: as
            for `Conv2d`.

    Shape:
        (batch, depth, height, width, inputs) → (batch, out depth, out height, out width, filters).
        `weight` (*kernel, inputs / groups, filters), `bias` (filters,).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `Conv2d`.

    Example:
        >>> nn.Conv3d(4, (1, 3, 3))(jnp.ones((1, 2, 8, 8, 3))).shape
        (1, 2, 6, 6, 4)
    """

    _axes = 3
