"""Fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.nn import ops
from kuai.nn._check import (
    as_array,
    as_floating,
    check_axes,
    check_count,
    check_width,
    dtype_of,
    floating_name,
)
from kuai.nn.activation import get, kept


class Dense(Block):
    """A fully connected layer: y = activation(x W + b).

    Args:
        units: number of outputs.
        activation: a name ("relu"), a function, a block, or None (the default).
        use_bias: whether b is added; default True.
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        bias_init: initializer of b; default zeros.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to.

    Shape:
        (..., inputs) → (..., units). `weight` (inputs, units), `bias` (units,). PyTorch keeps its
        weight as (units, inputs), and Gluon too.

    Raises:
        ArgumentError: `units` is no positive integer, the dtype is not floating, or the activation
            is unknown; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has another width than at first, or no axis at all.

    Example:
        >>> net = nn.Dense(3, activation="relu")
        >>> net(jnp.ones((2, 4))).shape, net.weight.shape
        ((2, 3), (4, 3))
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        init: Any = None,
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.units = check_count("Dense", "units", units)
        self.activation = kept(activation, "Dense")
        self.use_bias = use_bias
        self.init, self.bias_init = init, bias_init
        dtype = self._given_dtype = floating_name("Dense", dtype)
        self.weight = Parameter(shape=(None, self.units), init=init, dtype=dtype)
        self.bias = (
            Parameter(shape=(self.units,), init=bias_init, dtype=dtype) if use_bias else None
        )

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.Dense(2).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the width of the input."""
        x = as_array(x)
        check_axes(x, 1)
        self.params.weight.settle((x.shape[-1], self.units))

    def forward(self, x: Any) -> Any:
        """activation(x W + b)."""
        x = as_floating(x)
        check_axes(x, 1)
        check_width(x, -1, self.weight.shape[0])
        return get(self.activation)(ops.dense(x, self.weight, self.bias))


class Flatten(Block):
    """Joins all axes from `start` on into one.

    Args:
        start: first axis that is joined; default 1, so that the batch axis stays.

    Shape:
        (batch, ...) → (batch, product of the others); (batch,) → (batch, 1).

    Raises:
        ArgumentError: `start` is no integer of at least 0; when called, the input is no array.
        ShapeError: when called, the input has fewer axes than `start`.

    Example:
        >>> nn.Flatten()(jnp.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start: int = 1) -> None:
        super().__init__()
        self.start = check_count("Flatten", "start", start, at_least=0)

    def forward(self, x: Any) -> Any:
        """The same elements with fewer axes."""
        x = as_array(x)
        check_axes(x, self.start)
        return x.reshape(*x.shape[: self.start], math.prod(x.shape[self.start :]))
