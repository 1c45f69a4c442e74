"""Activations as blocks that look along an axis: probabilities, and the gate."""

from __future__ import annotations

from typing import Any

import jax

from kuai.core.block import Block
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn import functions
from kuai.nn._check import as_floating, check_index, checked_axis


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


class Softmin(Block):
    """exp(-x) / sum exp(-x) along an axis.

    Args:
        axis: default the last.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, the input has no such axis.

    Example:
        >>> nn.Softmin()(jnp.array([0.0, 1000.0])).tolist()
        [1.0, 0.0]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_index("Softmin", "axis", axis)

    def forward(self, x: Any) -> Any:
        """Probabilities, the largest for the smallest."""
        x = as_floating(x)
        return functions.softmin(x, checked_axis(x, self.axis))


class Sparsemax(Block):
    """The probabilities nearest to x along an axis, of which many are 0: max(x - t, 0).

    Args:
        axis: default the last.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, the input has no such axis.

    Example:
        >>> nn.Sparsemax()(jnp.array([1.0, 0.5, -2.0])).tolist()
        [0.75, 0.25, 0.0]

    Reference:
        Martins and Astudillo, "From softmax to sparsemax" (2016).
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_index("Sparsemax", "axis", axis)

    def forward(self, x: Any) -> Any:
        """Probabilities."""
        x = as_floating(x)
        return functions.sparsemax(x, checked_axis(x, self.axis))


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
