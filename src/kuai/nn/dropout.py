"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.nn import ops
from kuai.nn._check import as_floating, check_index, check_number, checked_axis


class Dropout(Block):
    """In training, zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate).

    In eval mode, and with a rate of 0, the input passes as it is.

    Args:
        rate: from 0 up to below 1.
        shared_axes: axes along which one decision holds for all elements; default none.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `rate` is outside its range, or a shared axis is no integer.
        DtypeError: when called, the input is not floating.
        ShapeError: when called in training, the input has no such axis.

    Example:
        >>> nn.Dropout(0.5)(jnp.ones(3))
        Array([1., 1., 1.], dtype=float32)
        >>> with kuai.train_mode():
        ...     y = nn.Dropout(0.5)(jnp.ones(100))
        >>> 0 < int((y == 0).sum()) < 100
        True

    Reference:
        Srivastava et al., "Dropout" (2014).
    """

    def __init__(self, rate: float, shared_axes: Sequence[int] = ()) -> None:
        super().__init__()
        self.rate = check_number("Dropout", "rate", rate, 1.0)
        self.shared_axes = tuple(
            check_index("Dropout", "shared_axes", axis) for axis in shared_axes
        )

    def forward(self, x: Any) -> Any:
        """The input with elements dropped, or as it is."""
        return dropped(as_floating(x), self.rate, self.shared_axes)


def dropped(x: jax.Array, rate: float, shared_axes: tuple[int, ...] = ()) -> jax.Array:
    """In training, x with elements dropped; else, and with a rate of 0, as it is."""
    if not is_training() or rate == 0:
        return x
    shared = {checked_axis(x, axis) for axis in shared_axes}
    shape = tuple(1 if axis in shared else n for axis, n in enumerate(x.shape))
    return ops.dropout(x, random.bernoulli(1 - rate, shape), rate)
