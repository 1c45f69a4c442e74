"""Fully connected layers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.nn import ops
from kuai.nn._check import as_array, as_floating, check_axes, check_positive, check_width
from kuai.nn.activation import get


class Dense(Block):
    """A fully connected layer: y = activation(x W + b).

    Args:
        units: number of outputs.
        activation: a name ("relu"), a function, a block, or None (the default).
        use_bias: whether b is added; default True.
        init: initializer of W; default glorot_uniform.
        bias_init: initializer of b; default zeros.
        dtype: of the parameters; default float32.

    Shape:
        (..., inputs) → (..., units). `weight` (inputs, units), `bias` (units,).

    Raises:
        ArgumentError: `units` is no positive integer, or the activation is unknown; when called,
            the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has another width than at first, or no axis at all.

    Example:
        >>> net = nn.Dense(3, activation="relu")
        >>> net(jnp.ones((2, 4))).shape, net.weight.shape
        ((2, 3), (4, 3))
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        init: Any = None,
        bias_init: Any = "zeros",
        dtype: Any = jnp.float32,
    ) -> None:
        super().__init__()
        self.units = check_positive("Dense", "units", units)
        self.activation = activation
        self._activation = get(activation)
        self.use_bias = use_bias
        self.weight = Parameter(shape=(None, units), init=init, dtype=dtype)
        self.bias = Parameter(shape=(units,), init=bias_init, dtype=dtype) if use_bias else None

    def infer_shapes(self, x: Any) -> None:
        x = as_array(x)
        check_axes(x, 1)
        self.params.weight.settle((x.shape[-1], self.units))

    def forward(self, x: Any) -> Any:
        x = as_floating(x)
        check_axes(x, 1)
        weight = self.weight
        check_width(x, -1, weight.shape[0])
        y = ops.dense(x, weight, self.bias)
        return y if self._activation is None else self._activation(y)


class Flatten(Block):
    """Joins all axes from `start` on into one.

    Args:
        start: first axis that is joined; default 1, so that the batch axis stays.

    Shape:
        (batch, ...) → (batch, product of the others).

    Raises:
        ShapeError: when called, the input has fewer axes than `start`.

    Example:
        >>> nn.Flatten()(jnp.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start: int = 1) -> None:
        super().__init__()
        self.start = start

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        check_axes(x, self.start)
        lead = x.shape[: self.start]
        size = 1
        for n in x.shape[self.start :]:
            size *= n
        return x.reshape(*lead, size)
