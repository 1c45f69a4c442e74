"""Activations as blocks: those that squash each element between bounds, and their logarithms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.errors import ArgumentError
from kuai.nn._check import as_floating


class Sigmoid(Block):
    """1 / (1 + exp(-x)).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Sigmoid()(jnp.array(0.0)).item()
        0.5
    """

    def forward(self, x: Any) -> Any:
        """The logistic function."""
        return jax.nn.sigmoid(as_floating(x))


class HardSigmoid(Block):
    """min(max(x + 3, 0), 6) / 6, as in PyTorch and Keras 3.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.HardSigmoid()(jnp.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """The logistic function in three straight pieces."""
        return jax.nn.hard_sigmoid(as_floating(x))


class LogSigmoid(Block):
    """log(sigmoid(x)), computed without overflow.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.LogSigmoid()(jnp.array(-1000.0)).item()
        -1000.0
    """

    def forward(self, x: Any) -> Any:
        """The logarithm of the logistic function."""
        return jax.nn.log_sigmoid(as_floating(x))


class Tanh(Block):
    """The hyperbolic tangent.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Tanh()(jnp.array(0.0)).item()
        0.0
    """

    def forward(self, x: Any) -> Any:
        """The hyperbolic tangent."""
        return jax.nn.tanh(as_floating(x))


class HardTanh(Block):
    """min(max(x, low), high).

    Args:
        low: default -1.
        high: default 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `high` is not above `low`; when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.HardTanh()(jnp.array([-2.0, 0.5, 2.0])).tolist()
        [-1.0, 0.5, 1.0]
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__()
        if not low < high:
            raise ArgumentError(
                f"HardTanh: expected low below high, got low={low!r} and high={high!r}; write "
                "for example HardTanh(-1.0, 1.0)"
            )
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        """The input, cut off at both ends."""
        x = as_floating(x)
        below = jnp.where(x > self.high, jnp.full_like(x, self.high), x)
        return jnp.where(x < self.low, jnp.full_like(x, self.low), below)


class SoftSign(Block):
    """x / (1 + |x|).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SoftSign()(jnp.array(1.0)).item()
        0.5
    """

    def forward(self, x: Any) -> Any:
        """The input over one more than its size."""
        return jax.nn.soft_sign(as_floating(x))


class SparseSigmoid(Block):
    """min(max(x + 1, 0), 2) / 2: the derivative of SparsePlus.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SparseSigmoid()(jnp.array([-2.0, 0.0, 2.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """The logistic function in one straight piece."""
        return jax.nn.sparse_sigmoid(as_floating(x))
