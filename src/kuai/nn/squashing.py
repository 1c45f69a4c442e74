"""Activations as blocks: those with bounded outputs, their logarithms, and the gate."""

from __future__ import annotations

from typing import Any

import jax

from kuai.core.block import Block
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn._check import as_floating, check_index, checked_axis


class Sigmoid(Block):
    """1 / (1 + exp(-x)).

    Example:
        >>> nn.Sigmoid()(jnp.array(0.0)).item()
        0.5
    """

    def forward(self, x: Any) -> Any:
        """The logistic function."""
        return jax.nn.sigmoid(as_floating(x))


class HardSigmoid(Block):
    """min(max(x + 3, 0), 6) / 6, as in PyTorch and Keras 3.

    Example:
        >>> nn.HardSigmoid()(jnp.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """The logistic function in three straight pieces."""
        return jax.nn.hard_sigmoid(as_floating(x))


class LogSigmoid(Block):
    """log(sigmoid(x)), computed without overflow.

    Example:
        >>> nn.LogSigmoid()(jnp.array(-1000.0)).item()
        -1000.0
    """

    def forward(self, x: Any) -> Any:
        """The logarithm of the logistic function."""
        return jax.nn.log_sigmoid(as_floating(x))


class Tanh(Block):
    """The hyperbolic tangent.

    Example:
        >>> nn.Tanh()(jnp.array(0.0)).item()
        0.0
    """

    def forward(self, x: Any) -> Any:
        """The hyperbolic tangent."""
        return jax.nn.tanh(as_floating(x))


class HardTanh(Block):
    """min(max(x, -1), 1).

    Example:
        >>> nn.HardTanh()(jnp.array([-2.0, 0.5, 2.0])).tolist()
        [-1.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """The input, cut off at -1 and 1."""
        return jax.nn.hard_tanh(as_floating(x))


class SoftSign(Block):
    """x / (1 + |x|).

    Example:
        >>> nn.SoftSign()(jnp.array(1.0)).item()
        0.5
    """

    def forward(self, x: Any) -> Any:
        """The input over one more than its size."""
        return jax.nn.soft_sign(as_floating(x))


class Softmax(Block):
    """exp(x) / sum exp(x) along an axis.

    Args:
        axis: default the last.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, the input has no such axis.

    Example:
        >>> nn.Softmax()(jnp.array([0.0, 0.0]))
        Array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_index("Softmax", "axis", axis)

    def forward(self, x: Any) -> Any:
        """Probabilities."""
        x = as_floating(x)
        return jax.nn.softmax(x, checked_axis(x, self.axis))


class LogSoftmax(Block):
    """x - log sum exp(x) along an axis.

    Args:
        axis: default the last.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, the input has no such axis.

    Example:
        >>> nn.LogSoftmax()(jnp.array([0.0, -1000.0])).tolist()
        [0.0, -1000.0]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_index("LogSoftmax", "axis", axis)

    def forward(self, x: Any) -> Any:
        """Logarithms of probabilities."""
        x = as_floating(x)
        return jax.nn.log_softmax(x, checked_axis(x, self.axis))


class GLU(Block):
    """a · sigmoid(b), where a and b are the halves of the input along an axis.

    Args:
        axis: default the last.

    Shape:
        (..., 2 n) → (..., n)

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, the input has no such axis, or an odd size there.

    Example:
        >>> nn.GLU()(jnp.array([4.0, 0.0])).tolist()
        [2.0]

    Reference:
        Dauphin et al., "Language modeling with gated convolutional networks" (2017).
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_index("GLU", "axis", axis)

    def forward(self, x: Any) -> Any:
        """One half of the input, gated by the other."""
        x = as_floating(x)
        axis = checked_axis(x, self.axis)
        if x.shape[axis] % 2:
            raise ShapeError(
                f"{here()}: expected an even size on axis {self.axis}, got shape {x.shape}; "
                "double the units of the layer before"
            )
        return jax.nn.glu(x, axis)
