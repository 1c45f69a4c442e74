"""The bilinear layer."""

from __future__ import annotations

from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ShapeError
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


class Bilinear(Block):
    """A layer that is linear in each of two inputs: y[u] = activation(x₁ᵀ W[:, :, u] x₂ + b[u]).

    Args:
        units: number of outputs.
        activation: a name ("relu"), a function, a block, or None (the default).
        use_bias: whether b is added; default True.
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        bias_init: initializer of b; default zeros.
        dtype: of the parameters; default float32. The output has the dtype that it and the inputs'
            promote to.

    Shape:
        (..., first), (..., second) → (..., units). `weight` (first, second, units), `bias`
        (units,). PyTorch keeps its weight as (units, first, second).

    Raises:
        ArgumentError: `units` is no positive integer, the dtype is not floating, or the activation
            is unknown; when called, an input is no array.
        DtypeError: when called, an input is not floating.
        ShapeError: when called, an input has another width than at first, or no axis at all, or the
            inputs differ in another axis than the last.

    Example:
        >>> net = nn.Bilinear(3)
        >>> net(jnp.ones((2, 4)), jnp.ones((2, 5))).shape, net.weight.shape
        ((2, 3), (4, 5, 3))
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
        self.units = check_count("Bilinear", "units", units)
        self.activation = kept(activation, "Bilinear")
        self.use_bias = use_bias
        self.init, self.bias_init = init, bias_init
        dtype = self._given_dtype = floating_name("Bilinear", dtype)
        self.weight = Parameter(shape=(None, None, self.units), init=init, dtype=dtype)
        self.bias = (
            Parameter(shape=(self.units,), init=bias_init, dtype=dtype) if use_bias else None
        )

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.Bilinear(2).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, first: Any, second: Any) -> None:
        """Settle the widths of the inputs."""
        first, second = as_array(first), as_array(second)
        check_axes(first, 1)
        check_axes(second, 1)
        self.params.weight.settle((first.shape[-1], second.shape[-1], self.units))

    def forward(self, first: Any, second: Any) -> Any:
        """activation(x₁ᵀ W x₂ + b)."""
        first, second = as_floating(first), as_floating(second)
        for x, width in zip((first, second), self.weight.shape, strict=False):
            check_axes(x, 1)
            check_width(x, -1, width)
        if first.shape[:-1] != second.shape[:-1]:
            raise ShapeError(
                f"{here()}: expected two inputs that differ in the last axis only, got shapes "
                f"{first.shape} and {second.shape}; give both the same batch"
            )
        return get(self.activation)(ops.bilinear(first, second, self.weight, self.bias))
