"""Activations as blocks: those that take small inputs to a constant."""

from __future__ import annotations

import math
from typing import Any

from kuai.core.block import Block
from kuai.nn import functions
from kuai.nn._check import as_floating, check_number


class HardShrink(Block):
    """x where |x| > threshold, 0 elsewhere.

    Args:
        threshold: from 0 up; default 0.5.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `threshold` is negative; when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.HardShrink()(jnp.array([-1.0, 0.25])).tolist()
        [-1.0, 0.0]
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = check_number("HardShrink", "threshold", threshold, math.inf)

    def forward(self, x: Any) -> Any:
        """The input where it is large."""
        return functions.hard_shrink(as_floating(x), self.threshold)


class SoftShrink(Block):
    """x moved towards 0 by the threshold: sign(x) · max(|x| - threshold, 0).

    Args:
        threshold: from 0 up; default 0.5.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `threshold` is negative; when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SoftShrink()(jnp.array([-1.0, 0.25])).tolist()
        [-0.5, 0.0]
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = check_number("SoftShrink", "threshold", threshold, math.inf)

    def forward(self, x: Any) -> Any:
        """The input, nearer to 0."""
        return functions.soft_shrink(as_floating(x), self.threshold)


class TanhShrink(Block):
    """x - tanh(x).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.TanhShrink()(jnp.array(0.0)).item()
        0.0
    """

    def forward(self, x: Any) -> Any:
        """The input less its tanh."""
        return functions.tanh_shrink(as_floating(x))


class Threshold(Block):
    """x where x > threshold, `value` elsewhere.

    Args:
        threshold: above which x stays.
        value: of the rest; default 0, as in Paddle.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Threshold(1.0, -3.0)(jnp.array([0.5, 2.0])).tolist()
        [-3.0, 2.0]
    """

    def __init__(self, threshold: float, value: float = 0.0) -> None:
        super().__init__()
        self.threshold, self.value = threshold, value

    def forward(self, x: Any) -> Any:
        """The input where it is above the threshold."""
        return functions.threshold(as_floating(x), self.threshold, self.value)
