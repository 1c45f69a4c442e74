"""Convolutions that keep channels apart."""

from __future__ import annotations

from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.representation import parts
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
from kuai.nn.conv import Conv2d
from kuai.nn.ops.convolution import CONV_PADDINGS, conv, with_bias


class DepthwiseConv2d(Block):
    """A convolution of each channel by itself: y[c · multiplier + m] = x[c] * W[c, m] + b.

    It is `Conv2d` with as many groups as the input has channels, which need not be told.

    Args:
        kernel: its size: an integer, or a tuple (height, width).
        strides, padding, dilation: as for `Conv2d`.
        multiplier: outputs for each channel of the input; default 1.
        use_bias, activation, init, bias_init, layout, dtype: as for `Conv2d`.

    Shape:
        (batch, height, width, channels) → (batch, out height, out width, channels · multiplier).
        `weight` (kernel height, kernel width, 1, channels · multiplier), `bias` (channels ·
        multiplier,). Keras keeps (kernel height, kernel width, channels, multiplier).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `Conv2d`.

    Example:
        >>> net = nn.DepthwiseConv2d(3, padding="same", multiplier=2)
        >>> net(jnp.ones((1, 8, 8, 3))).shape, net.weight.shape
        ((1, 8, 8, 6), (3, 3, 1, 6))

    Reference:
        Howard et al., "MobileNets" (2017).
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        kernel: Any,
        strides: Any = 1,
        padding: Any = "valid",
        dilation: Any = 1,
        multiplier: int = 1,
        use_bias: bool = True,
        activation: Any = None,
        init: Any = None,
        bias_init: Any = "zeros",
        layout: str = "channels_last",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.kernel = check_sizes(where, "kernel", kernel, 2)
        self.strides = check_sizes(where, "strides", strides, 2)
        self.padding = check_padding(where, padding, 2, CONV_PADDINGS)
        self.dilation = check_sizes(where, "dilation", dilation, 2)
        self.multiplier = check_count(where, "multiplier", multiplier)
        self.use_bias = use_bias
        self.activation = kept(activation, where)
        self.init, self.bias_init = init, bias_init
        self.layout = check_layout(where, layout)
        dtype = self._given_dtype = floating_name(where, dtype)
        shape = (*sizes_of(self.kernel, 2), 1, None)
        self.weight = Parameter(shape=shape, init=init, dtype=dtype)
        self.bias = Parameter(shape=(None,), init=bias_init, dtype=dtype) if use_bias else None

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.DepthwiseConv2d(3).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the channels."""
        x = as_array(x)
        check_spatial(x, 2, self.layout)
        outputs = x.shape[channel_axis(self.layout)] * self.multiplier
        self.params.weight.settle((*sizes_of(self.kernel, 2), 1, outputs))
        if self.use_bias:
            self.params.bias.settle((outputs,))

    def forward(self, x: Any) -> Any:
        """The activation of each channel's convolution, with the bias added."""
        x = as_floating(x)
        check_spatial(x, 2, self.layout)
        channels = self.weight.shape[-1] // self.multiplier
        check_width(x, channel_axis(self.layout), channels)
        y = conv(x, self.weight, self.strides, self.padding, self.dilation, channels, self.layout)
        return get(self.activation)(with_bias(y, self.bias, self.layout))


class SeparableConv2d(Block):
    """A convolution of each channel by itself, then one of size 1 that mixes the channels.

    Args:
        filters: number of output channels.
        kernel: its size: an integer, or a tuple (height, width).
        strides, padding, dilation: as for `Conv2d`, of the first one.
        multiplier: outputs of the first one for each channel of the input; default 1.
        use_bias: whether the second one adds a bias; default True. The first one has none, as in
            Keras.
        activation, bias_init: of the second one, as for `Conv2d`.
        init, layout, dtype: of both, as for `Conv2d`.

    Shape:
        (batch, height, width, inputs) → (batch, out height, out width, filters).
        `depthwise.weight` (kernel height, kernel width, 1, inputs · multiplier),
        `pointwise.weight` (1, 1, inputs · multiplier, filters), `pointwise.bias` (filters,).

    Raises:
        ArgumentError, DtypeError, ShapeError: as for `Conv2d`.

    Example:
        >>> nn.SeparableConv2d(8, 3, strides=2, padding="same")(jnp.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 8)

    Reference:
        Chollet, "Xception: deep learning with depthwise separable convolutions" (2017).
    """

    def __init__(
        self,
        filters: int,
        kernel: Any,
        strides: Any = 1,
        padding: Any = "valid",
        dilation: Any = 1,
        multiplier: int = 1,
        use_bias: bool = True,
        activation: Any = None,
        init: Any = None,
        bias_init: Any = "zeros",
        layout: str = "channels_last",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.filters = check_count("SeparableConv2d", "filters", filters)
        self.depthwise = DepthwiseConv2d(
            kernel,
            strides,
            padding,
            dilation,
            multiplier,
            use_bias=False,
            init=init,
            layout=layout,
            dtype=dtype,
        )
        self.pointwise = Conv2d(
            filters,
            1,
            use_bias=use_bias,
            activation=activation,
            init=init,
            bias_init=bias_init,
            layout=layout,
            dtype=dtype,
        )

    def forward(self, x: Any) -> Any:
        """The mixture of the channels' convolutions."""
        return self.pointwise(self.depthwise(x))

    def _kuai_parts(self) -> list[str]:
        """The constructor's arguments: both children follow from them."""
        own = ("depthwise=", "pointwise=")
        return [part for part in parts(self) if not part.startswith(own)]
