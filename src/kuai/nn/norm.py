"""Normalization layers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.parameter import Parameter, State
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn import ops
from kuai.nn._check import (
    as_array,
    as_floating,
    check_axes,
    check_count,
    check_index,
    check_last_axes,
    check_number,
    check_width,
    checked_axis,
    dtype_of,
    floating_name,
)
from kuai.nn._dtypes import widened


class LayerNorm(Block):
    """Normalizes over the last axes: y = (x - E[x]) / sqrt(Var[x] + epsilon) · scale + shift.

    Mean and variance are taken in at least float32; the output has the dtype of the input.

    Args:
        axes: how many of the last axes are normalized together; default 1. It is no number of
            features: these are inferred.
        epsilon: added to the variance; default 1e-5, as in PyTorch, Gluon and Paddle. Keras has
            1e-3.
        use_scale: whether the result is scaled; default True.
        use_bias: whether it is shifted; default True.
        dtype: of the parameters; default float32.

    Shape:
        (..., features) → the same. `weight` and `bias` (features,), or one size for each of `axes`.

    Raises:
        ArgumentError: `axes` is no positive integer, epsilon is negative, or the dtype is not
            floating; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has too few axes, or another width than at first.

    Example:
        >>> nn.LayerNorm()(jnp.array([[1.0, 3.0]])).round(3).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba et al., "Layer normalization" (2016).
    """

    weight: Any
    bias: Any
    _kuai_keeps_dtype = True

    def __init__(
        self,
        axes: int = 1,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.axes = check_count("LayerNorm", "axes", axes)
        self.epsilon = check_number("LayerNorm", "epsilon", epsilon, math.inf)
        self.use_scale, self.use_bias = use_scale, use_bias
        dtype = self._given_dtype = floating_name("LayerNorm", dtype)
        unknown = (None,) * self.axes
        self.weight = _parameter(unknown, "ones", dtype) if use_scale else None
        self.bias = _parameter(unknown, "zeros", dtype) if use_bias else None

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.LayerNorm().astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the widths of the normalized axes."""
        x = as_array(x)
        check_last_axes(x, self.axes)
        for name in self.params:
            self.params[name].settle(x.shape[-self.axes :])

    def forward(self, x: Any) -> Any:
        """The normalized input, scaled and shifted."""
        x = as_floating(x)
        check_last_axes(x, self.axes)
        weight, bias = self.weight, self.bias
        self._check_widths(x, bias if weight is None else weight)
        return ops.layer_norm(x, tuple(range(-self.axes, 0)), self.epsilon, weight, bias)

    def _check_widths(self, x: jax.Array, parameter: jax.Array | None) -> None:
        if parameter is not None and x.shape[-self.axes :] != parameter.shape:
            raise ShapeError(
                f"{here()}: expected an input that ends in {parameter.shape}, got shape {x.shape}; "
                "give it those sizes, or make a new layer for the new ones"
            )


class BatchNorm(Block):
    """Normalizes each feature over the batch, and by running statistics in eval mode.

    In training, y = (x - mean) / sqrt(variance + epsilon) · scale + shift with the batch's own mean
    and biased variance, and running ← momentum · running + (1 - momentum) · batch's, where the
    variance is the unbiased one, as in PyTorch (Keras keeps the biased one). In eval mode the
    running statistics take the batch's place and stay as they are. Statistics are kept in at least
    float32; the output has the dtype of the input.

    Args:
        axis: of the features; default the last. 1 for (batch, features, height, width).
        momentum: how much of the running statistics stays at each step; default 0.9, as in Gluon
            and Paddle. It is 1 minus PyTorch's momentum, whose default 0.1 is the same. Keras has
            0.99.
        epsilon: added to the variance; default 1e-5, as in PyTorch, Gluon and Paddle. Keras has
            1e-3.
        use_scale: whether the result is scaled; default True.
        use_bias: whether it is shifted; default True.
        dtype: of the parameters; default float32.

    Shape:
        (batch, ..., features) → the same. `weight`, `bias`, `running_mean` and `running_var`
        (features,).

    Raises:
        ArgumentError: `momentum` is outside [0, 1], epsilon is negative, `axis` is no integer, or
            the dtype is not floating; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has fewer than two axes, another width than at first, or,
            in training, fewer than two values for each feature.

    Example:
        >>> norm = nn.BatchNorm(momentum=0.5)
        >>> with kuai.train_mode():
        ...     norm(jnp.array([[1.0], [3.0]])).round(3).tolist()
        [[-1.0], [1.0]]
        >>> norm.running_mean.tolist()
        [1.0]

    Reference:
        Ioffe and Szegedy, "Batch normalization" (2015).
    """

    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    _kuai_keeps_dtype = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.axis = check_index("BatchNorm", "axis", axis)
        self.momentum = check_number("BatchNorm", "momentum", momentum, 1.0, itself=True)
        self.epsilon = check_number("BatchNorm", "epsilon", epsilon, math.inf)
        self.use_scale, self.use_bias = use_scale, use_bias
        dtype = self._given_dtype = floating_name("BatchNorm", dtype)
        self.weight = _parameter((None,), "ones", dtype) if use_scale else None
        self.bias = _parameter((None,), "zeros", dtype) if use_bias else None
        wide = widened(jnp.dtype(dtype))
        self.running_mean = State(shape=(None,), init="zeros", dtype=wide)
        self.running_var = State(shape=(None,), init="ones", dtype=wide)

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.BatchNorm().astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the number of features."""
        x = as_array(x)
        check_axes(x, 2)
        for name in self.params:
            self.params[name].settle((x.shape[checked_axis(x, self.axis)],))

    def forward(self, x: Any) -> Any:
        """The normalized input, scaled and shifted; in training the running statistics move."""
        x = as_floating(x)
        check_axes(x, 2)
        axis = checked_axis(x, self.axis)
        check_width(x, axis, self.running_mean.shape[0])
        if is_training():
            mean, variance = self._batch_statistics(x, axis)
        else:
            mean, variance = self.running_mean, self.running_var
        return ops.batch_norm(x, mean, variance, self.epsilon, self.weight, self.bias, axis)

    def _batch_statistics(self, x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
        count = math.prod(n for other, n in enumerate(x.shape) if other != axis)
        if count < 2:
            raise ShapeError(
                f"{here()}: expected at least two values for each feature in training, got shape "
                f"{x.shape}; use a larger batch, or eval mode"
            )
        others = tuple(other for other in range(x.ndim) if other != axis)
        mean, variance = (moment.reshape(-1) for moment in ops.moments(x, others))
        self.running_mean = self._moved(self.running_mean, mean)
        self.running_var = self._moved(self.running_var, variance * (count / (count - 1)))
        return mean, variance

    def _moved(self, running: jax.Array, batch: jax.Array) -> jax.Array:
        kept = self.momentum * running.astype(batch.dtype) + (1 - self.momentum) * batch
        return jax.lax.stop_gradient(kept.astype(running.dtype))


def _parameter(shape: tuple[int | None, ...], init: str, dtype: str) -> Parameter:
    return Parameter(shape=shape, init=init, dtype=dtype)
