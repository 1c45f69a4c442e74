"""Normalization layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.parameter import Parameter, State
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn import ops
from kuai.nn._check import as_array, as_floating, check_axes, check_width


class LayerNorm(Block):
    """Normalizes over the last axes: y = (x - E[x]) / sqrt(Var[x] + epsilon) · scale + shift.

    Args:
        axes: how many of the last axes are normalized together; default 1.
        epsilon: added to the variance; default 1e-5.
        use_scale: whether the result is scaled; default True.
        use_bias: whether it is shifted; default True.
        dtype: of the parameters; default float32.

    Shape:
        (..., features) → the same. `weight` and `bias` (features,).

    Raises:
        ArgumentError: `axes` is less than 1.
        ShapeError: when called, the input has too few axes, or another width than at first.

    Example:
        >>> nn.LayerNorm()(jnp.array([[1.0, 3.0]])).round(3).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba et al., "Layer normalization" (2016).
    """

    def __init__(
        self,
        axes: int = 1,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        dtype: Any = jnp.float32,
    ) -> None:
        super().__init__()
        if axes < 1:
            raise ArgumentError(f"LayerNorm: expected axes of at least 1, got {axes}")
        self.axes, self.epsilon = axes, epsilon
        self.use_scale, self.use_bias = use_scale, use_bias
        unknown = (None,) * axes
        self.weight = Parameter(shape=unknown, init="ones", dtype=dtype) if use_scale else None
        self.bias = Parameter(shape=unknown, init="zeros", dtype=dtype) if use_bias else None

    def infer_shapes(self, x: Any) -> None:
        x = as_array(x)
        check_axes(x, self.axes)
        for name in self.params:
            self.params[name].settle(x.shape[-self.axes :])

    def forward(self, x: Any) -> Any:
        x = as_floating(x)
        check_axes(x, self.axes)
        scale = self.weight
        if scale is not None and x.shape[-self.axes :] != scale.shape:
            raise ShapeError(f"{here()}: expected an input that ends in {scale.shape}, got shape {x.shape}")
        return ops.layer_norm(x, tuple(range(-self.axes, 0)), self.epsilon, scale, self.bias)


class BatchNorm(Block):
    """Normalizes each feature over the batch, and over running statistics in eval mode.

    In training, y = (x - mean) / sqrt(variance + epsilon) · scale + shift with the batch's own mean
    and biased variance, and running ← momentum · running + (1 - momentum) · batch's, the variance
    unbiased as in PyTorch. In eval mode the running statistics take their place.

    Args:
        axis: of the features; default the last.
        momentum: how much of the running statistics stays at each step; default 0.9, as in Gluon
            and Paddle. PyTorch's momentum of 0.1 is the same.
        epsilon: added to the variance; default 1e-5.
        use_scale: whether the result is scaled; default True.
        use_bias: whether it is shifted; default True.
        dtype: of the parameters; default float32.

    Shape:
        (batch, ..., features) → the same. `weight`, `bias`, `running_mean`, `running_var` (features,).

    Raises:
        ArgumentError: `momentum` is outside [0, 1].
        ShapeError: when called, the input has fewer than two axes, another width than at first, or,
            in training, fewer than two values for each feature.

    Example:
        >>> norm = nn.BatchNorm()
        >>> with kuai.train_mode():
        ...     norm(jnp.array([[1.0], [3.0]])).round(3).tolist()
        [[-1.0], [1.0]]
        >>> norm.running_mean.round(3).tolist()
        [0.2]

    Reference:
        Ioffe and Szegedy, "Batch normalization" (2015).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        dtype: Any = jnp.float32,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNorm: expected momentum from 0 to 1, got {momentum!r}")
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.use_scale, self.use_bias = use_scale, use_bias
        self.weight = Parameter(shape=(None,), init="ones", dtype=dtype) if use_scale else None
        self.bias = Parameter(shape=(None,), init="zeros", dtype=dtype) if use_bias else None
        self.running_mean = State(shape=(None,), init="zeros", dtype=dtype)
        self.running_var = State(shape=(None,), init="ones", dtype=dtype)

    def infer_shapes(self, x: Any) -> None:
        x = as_array(x)
        check_axes(x, 2)
        for name in self.params:
            self.params[name].settle((x.shape[self.axis],))

    def forward(self, x: Any) -> Any:
        x = as_floating(x)
        check_axes(x, 2)
        check_width(x, self.axis, self.running_mean.shape[0])
        if is_training():
            mean, variance = self._batch_statistics(x)
        else:
            mean, variance = self.running_mean, self.running_var
        return ops.batch_norm(x, mean, variance, self.epsilon, self.weight, self.bias, self.axis)

    def _batch_statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        count = x.size // max(x.shape[self.axis], 1)
        if count < 2:
            raise ShapeError(
                f"{here()}: expected at least two values for each feature in training, got shape "
                f"{x.shape}; use a larger batch, or eval mode"
            )
        axes = tuple(axis for axis in range(x.ndim) if axis != self.axis % x.ndim)
        mean, variance = (m.reshape(-1) for m in ops.moments(x, axes))
        self.running_mean = self._moved(self.running_mean, mean)
        self.running_var = self._moved(self.running_var, variance * (count / (count - 1)))
        return mean, variance

    def _moved(self, running: jax.Array, batch: jax.Array) -> jax.Array:
        kept = self.momentum * running + (1 - self.momentum) * batch.astype(running.dtype)
        return jax.lax.stop_gradient(kept)
