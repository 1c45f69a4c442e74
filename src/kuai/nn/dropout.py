"""Dropout, and its kin that drop whole channels, whole examples, or to SELU's floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.nn import ops
from kuai.nn._check import (
    as_floating,
    check_axes,
    check_index,
    check_number,
    checked_axis,
)
from kuai.nn._spatial import check_layout


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


class SpatialDropout(Block):
    """In training, zeroes whole channels of an example and scales the rest by 1 / (1 - rate).

    Neighbouring places of a picture or a sequence tell much the same; to drop single ones would
    take little away. It is one layer for any number of places: Keras's SpatialDropout1D to 3D, and
    PyTorch's Dropout1d to Dropout3d. In eval mode, and with a rate of 0, the input passes as it is.

    Args:
        rate: from 0 up to below 1.
        layout: "channels_last" (default) or "channels_first", as PyTorch has them.

    Shape:
        (batch, places..., channels) → the same; with channels first, (batch, channels, places...).

    Raises:
        ArgumentError: `rate` is outside its range, or there is no such layout.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has fewer than two axes.

    Example:
        >>> with kuai.train_mode():
        ...     y = nn.SpatialDropout(0.5)(jnp.ones((1, 8, 100)))
        >>> bool((y == y[:, :1]).all()), 0 < int((y[0, 0] == 0).sum()) < 100
        (True, True)

    Reference:
        Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """

    def __init__(self, rate: float, layout: str = "channels_last") -> None:
        super().__init__()
        self.rate = check_number("SpatialDropout", "rate", rate, 1.0)
        self.layout = check_layout("SpatialDropout", layout)

    def forward(self, x: Any) -> Any:
        """The input with channels dropped, or as it is."""
        x = as_floating(x)
        check_axes(x, 2)
        first = 1 if self.layout == "channels_last" else 2
        return dropped(x, self.rate, range(first, first + x.ndim - 2))


class DropPath(Block):
    """In training, zeroes whole examples and scales the rest by 1 / (1 - rate): stochastic depth.

    It stands at the end of a residual branch, which an example then skips. In eval mode, and with a
    rate of 0, the input passes as it is.

    Args:
        rate: from 0 up to below 1.

    Shape:
        (batch, ...) → the same.

    Raises:
        ArgumentError: `rate` is outside its range.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has no axis.

    Example:
        >>> with kuai.train_mode():
        ...     y = nn.DropPath(0.5)(jnp.ones((100, 3)))
        >>> bool((y == y[:, :1]).all()), 0 < int((y[:, 0] == 0).sum()) < 100
        (True, True)

    Reference:
        Huang et al., "Deep networks with stochastic depth" (2016).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_number("DropPath", "rate", rate, 1.0)

    def forward(self, x: Any) -> Any:
        """The input with examples dropped, or as it is."""
        x = as_floating(x)
        check_axes(x, 1)
        return dropped(x, self.rate, range(1, x.ndim))


class AlphaDropout(Block):
    """In training, sends elements to SELU's floor with probability `rate`; keeps mean and variance.

    An input of mean 0 and variance 1 stays so: y = a · (x or -1.7581) + b. In eval mode, and with a
    rate of 0, the input passes as it is.

    Args:
        rate: from 0 up to below 1.
        shared_axes: axes along which one decision holds for all elements; default none. All but
            the batch and the channels give PyTorch's FeatureAlphaDropout.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `rate` is outside its range, or a shared axis is no integer.
        DtypeError: when called, the input is not floating.
        ShapeError: when called in training, the input has no such axis.

    Example:
        >>> with kuai.train_mode():
        ...     y = nn.AlphaDropout(0.5)(jnp.zeros(100))
        >>> sorted({round(value, 3) for value in y.tolist()})
        [-0.779, 0.779]

    Reference:
        Klambauer et al., "Self-normalizing neural networks" (2017).
    """

    def __init__(self, rate: float, shared_axes: Sequence[int] = ()) -> None:
        super().__init__()
        self.rate = check_number("AlphaDropout", "rate", rate, 1.0)
        self.shared_axes = tuple(
            check_index("AlphaDropout", "shared_axes", axis) for axis in shared_axes
        )

    def forward(self, x: Any) -> Any:
        """The input with elements dropped, or as it is."""
        return dropped(as_floating(x), self.rate, self.shared_axes, ops.alpha_dropout)


def dropped(
    x: jax.Array,
    rate: float,
    shared_axes: Sequence[int] = (),
    drop: Callable[..., jax.Array] = ops.dropout,
) -> jax.Array:
    """In training, x with elements dropped; else, and with a rate of 0, as it is."""
    if not is_training() or rate == 0:
        return x
    shared = {checked_axis(x, axis) for axis in shared_axes}
    shape = tuple(1 if axis in shared else n for axis, n in enumerate(x.shape))
    return drop(x, random.bernoulli(1 - rate, shape), rate)
