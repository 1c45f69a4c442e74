"""Normalization by size alone: no mean is taken away."""

from __future__ import annotations

import math
from typing import Any

import jax

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn import ops
from kuai.nn._check import (
    as_array,
    as_floating,
    check_count,
    check_index,
    check_last_axes,
    check_number,
    checked_axis,
    dtype_of,
    floating_name,
)
from kuai.nn._dtypes import widened


class RMSNorm(Block):
    """Divides the last axes by their root mean square: y = x / sqrt(E[x²] + epsilon) · scale.

    The mean is taken, and the product computed, in at least float32; the output has the dtype of
    the input.

    Args:
        axes: how many of the last axes are normalized together; default 1. It is no number of
            features: these are inferred.
        epsilon: added to the mean square; default None, as in PyTorch: the machine epsilon of the
            dtype that it is taken in, 1.2e-7 for float32. Keras and Flax have 1e-6, Llama 1e-5.
        use_scale: whether the result is scaled; default True.
        unit_offset: the scale is 1 + weight, and weight starts at 0, as in Gemma; default False.
        dtype: of the parameters; default float32.

    Shape:
        (..., features) → the same. `weight` (features,), or one size for each of `axes`.

    Raises:
        ArgumentError: `axes` is no positive integer, epsilon is negative, or the dtype is not
            floating; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has too few axes, or another width than at first.

    Example:
        >>> nn.RMSNorm()(jnp.array([[1.0, 7.0]])).round(1)
        Array([[0.2, 1.4]], dtype=float32)

    Reference:
        Zhang and Sennrich, "Root mean square layer normalization" (2019).
    """

    weight: Any
    _kuai_keeps_dtype = True

    def __init__(
        self,
        axes: int = 1,
        epsilon: float | None = None,
        use_scale: bool = True,
        unit_offset: bool = False,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.axes = check_count("RMSNorm", "axes", axes)
        if epsilon is not None:
            check_number("RMSNorm", "epsilon", epsilon, math.inf)
        self.epsilon = epsilon
        self.use_scale, self.unit_offset = use_scale, unit_offset
        dtype = self._given_dtype = floating_name("RMSNorm", dtype)
        init = "zeros" if unit_offset else "ones"
        unknown = (None,) * self.axes
        self.weight = Parameter(shape=unknown, init=init, dtype=dtype) if use_scale else None

    @property
    def dtype(self) -> str:
        """The dtype of the parameter as it is now, after `astype` for example.

        Example:
            >>> nn.RMSNorm().astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the widths of the normalized axes."""
        x = as_array(x)
        check_last_axes(x, self.axes)
        self.params.weight.settle(x.shape[-self.axes :])

    def forward(self, x: Any) -> Any:
        """The input over its root mean square, scaled."""
        x = as_floating(x)
        check_last_axes(x, self.axes)
        return ops.rms_norm(x, tuple(range(-self.axes, 0)), self.epsilon, self._scale(x))

    def _scale(self, x: jax.Array) -> jax.Array | None:
        weight: jax.Array | None = self.weight
        if weight is None:
            return None
        if x.shape[-self.axes :] != weight.shape:
            raise ShapeError(
                f"{here()}: expected an input that ends in {weight.shape}, got shape {x.shape}; "
                "give it those sizes, or make a new layer for the new ones"
            )
        return 1 + weight.astype(widened(weight.dtype)) if self.unit_offset else weight


class LocalResponseNorm(Block):
    """Divides by the strength of neighbouring features: y = x / (k + alpha · E[x²])^beta.

    The mean is that of the squares in a window of `size` features around each, where those beyond
    the edge count as 0. It is taken in at least float32; the output has the dtype of the input.

    Args:
        size: of the window; of an even one, the larger half lies before.
        alpha: factor of the mean; default 1e-4, as in PyTorch and Paddle. TensorFlow and the paper
            have it as a factor of the sum, alpha / size here.
        beta: exponent; default 0.75.
        k: summand; default 1. The paper has 2.
        axis: of the features; default the last. 1 for (batch, features, height, width), which is
            where PyTorch has them.

    Shape:
        (..., features) → the same.

    Raises:
        ArgumentError: `size` is no positive integer, a number is negative, or `axis` is no integer;
            when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has no such axis.

    Example:
        >>> nn.LocalResponseNorm(2, alpha=2.0, beta=1.0)(jnp.array([[3.0, 0.0]])).round(3)
        Array([[0.3, 0. ]], dtype=float32)

    Reference:
        Krizhevsky et al., "ImageNet classification with deep convolutional networks" (2012).
    """

    _kuai_keeps_dtype = True

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, axis: int = -1
    ) -> None:
        super().__init__()
        self.size = check_count("LocalResponseNorm", "size", size)
        self.alpha = check_number("LocalResponseNorm", "alpha", alpha, math.inf)
        self.beta = check_number("LocalResponseNorm", "beta", beta, math.inf)
        self.k = check_number("LocalResponseNorm", "k", k, math.inf)
        self.axis = check_index("LocalResponseNorm", "axis", axis)

    def forward(self, x: Any) -> Any:
        """The input over the strength of its neighbours."""
        x = as_floating(x)
        axis = checked_axis(x, self.axis)
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k, axis)
