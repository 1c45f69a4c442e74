"""Transposed convolution layers."""

from __future__ import annotations

from typing import Any

import jax

from kuai.nn._spatial import check_sizes, sizes_of
from kuai.nn.conv import Convolution
from kuai.nn.ops.convolution import check_output_padding, conv_transpose


class TransposedConvolution(Convolution):
    """What the transposed convolutions over one, two and three axes share."""

    def __init__(
        self,
        filters: int,
        kernel: Any,
        strides: Any = 1,
        padding: Any = "valid",
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        use_bias: bool = True,
        activation: Any = None,
        init: Any = None,
        bias_init: Any = "zeros",
        layout: str = "channels_last",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            filters,
            kernel,
            strides,
            padding,
            dilation,
            groups,
            use_bias,
            activation,
            init,
            bias_init,
            layout,
            dtype,
        )
        where, axes = type(self).__name__, self._axes
        self.output_padding = check_sizes(where, "output_padding", output_padding, axes, at_least=0)
        more, steps, gaps = (
            sizes_of(sizes, axes) for sizes in (self.output_padding, self.strides, self.dilation)
        )
        check_output_padding(where, more, steps, gaps)

    def _convolved(self, x: jax.Array) -> jax.Array:
        return conv_transpose(
            x,
            self.weight,
            self.strides,
            self.padding,
            self.output_padding,
            self.dilation,
            self.groups,
            self.layout,
        )


class ConvTranspose2d(TransposedConvolution):
    """A transposed convolution over two axes: y = activation(x *ᵀ W + b).

    y[i · stride + k · dilation - low] += x[i] W[k]: the linear map that `Conv2d` of the same
    strides, padding and dilation transposes, with a weight of its own. Also called a convolution
    with fractional strides, or a deconvolution.

    Args:
        filters: number of output channels.
        kernel: its size: an integer, or a tuple (height, width).
        strides: from what one element of the input adds to what the next adds; default 1. An
            integer or a tuple, as `dilation`.
        padding: what is cut off the output, told as the padding of the convolution that this one
            transposes. "valid", the default: nothing; Keras, where the stride exceeds the kernel,
            adds zeros up to size · stride. "same": the output has size · stride elements, as in
            Keras and Paddle; PyTorch does not know it. An integer, as in PyTorch, Gluon and Paddle,
            or for each axis an integer or a pair (low, high).
        output_padding: elements more at the high side, below stride or dilation; default 0. With
            strides, several sizes of input have one size of output: this says which is meant.
        dilation: from one element of the kernel to the next, in elements of the output; default 1.
        groups: parts of the channels, each taken with filters / groups kernels of its own; default
            1.
        use_bias: whether b is added; default True.
        activation: a name ("relu"), a function, a block, or None (the default).
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        bias_init: initializer of b; default zeros.
        layout: "channels_last" (default) or "channels_first", of input and output.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to.

    Shape:
        (batch, height, width, inputs) → (batch, out height, out width, filters), where out = (size
        - 1) · stride + (kernel - 1) · dilation + 1 - low - high + output_padding. `weight` (kernel
        height, kernel width, inputs / groups, filters) in both layouts, `bias` (filters,). PyTorch,
        Gluon and Paddle keep (inputs, filters / groups, kernel height, kernel width), Keras (kernel
        height, kernel width, filters, inputs), Flax kuai's shape with the kernel flipped.

    Raises:
        ArgumentError: a size is no positive integer, `groups` does not divide `filters`,
            `output_padding` is too large, padding, layout or activation are unknown, or the dtype
            is not floating; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has other axes, another width than at first, or channels
            that `groups` does not divide; or the padding leaves no output.

    Example:
        >>> net = nn.ConvTranspose2d(8, 4, strides=2, padding=1)
        >>> net(jnp.ones((1, 7, 7, 3))).shape, net.weight.shape
        ((1, 14, 14, 8), (4, 4, 3, 8))

    Reference:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
    """

    _axes = 2


class ConvTranspose1d(TransposedConvolution):
    """A transposed convolution over one axis: y = activation(x *ᵀ W + b).

    Args:
        filters: number of output channels.
        kernel: its size.
        strides: as for `ConvTranspose2d`, like padding, output_padding, dilation, groups, use_bias,
            activation, init, bias_init, layout and dtype.

    Shape:
        (batch, length, inputs) → (batch, out length, filters). `weight` (kernel, inputs / groups,
        filters), `bias` (filters,).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `ConvTranspose2d`.

    Example:
        >>> nn.ConvTranspose1d(4, 3, strides=2)(jnp.ones((1, 5, 2))).shape
        (1, 11, 4)
    """

    _axes = 1


class ConvTranspose3d(TransposedConvolution):
    """A transposed convolution over three axes: y = activation(x *ᵀ W + b).

    Args:
        filters: number of output channels.
        kernel: its size: an integer, or a tuple (depth, height, width).
        strides: as for `ConvTranspose2d`, like padding, output_padding, dilation, groups, use_bias,
            activation, init, bias_init, layout and dtype.

    Shape:
        (batch, depth, height, width, inputs) → (batch, out depth, out height, out width, filters).
        `weight` (*kernel, inputs / groups, filters), `bias` (filters,).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `ConvTranspose2d`.

    Example:
        >>> nn.ConvTranspose3d(4, 2, strides=2)(jnp.ones((1, 2, 3, 3, 2))).shape
        (1, 4, 6, 6, 4)
    """

    _axes = 3
