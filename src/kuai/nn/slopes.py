"""Rectifiers whose negative side has a slope that is learnt or drawn, and the learnt pieces."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._check import (
    as_array,
    as_floating,
    check_count,
    check_index,
    check_width,
    checked_axis,
    dtype_of,
    floating_name,
)
from kuai.nn._dtypes import promoted, widened


class PReLU(Block):
    """x where x > 0, weight · x elsewhere, with a slope that is learnt.

    Args:
        axis: of the features, each with a slope of its own; default None: one slope for all, as in
            PyTorch.
        init: initializer of the slope; default 0.25, as in PyTorch, Gluon and Paddle. Keras has 0.
        dtype: of the parameter; default float32. The output has the dtype of the input.

    Shape:
        Any → the same. `weight` (1,), or (features,) where there is an axis.

    Raises:
        ArgumentError: `axis` is no integer, or the dtype is not floating; when called, the input is
            no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has no such axis, or another width than at first.

    Example:
        >>> nn.PReLU()(jnp.array([-2.0, 2.0])).tolist()
        [-0.5, 2.0]

    Reference:
        He et al., "Delving deep into rectifiers" (2015).
    """

    weight: Any

    def __init__(self, axis: int | None = None, init: Any = 0.25, dtype: Any = "float32") -> None:
        super().__init__()
        self.axis = None if axis is None else check_index("PReLU", "axis", axis)
        self.init = init
        dtype = self._given_dtype = floating_name("PReLU", dtype)
        size = 1 if axis is None else None
        self.weight = Parameter(shape=(size,), init=init, dtype=dtype)

    @property
    def dtype(self) -> str:
        """The dtype of the parameter as it is now, after `astype` for example.

        Example:
            >>> nn.PReLU().astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the number of slopes."""
        x = as_array(x)
        if self.axis is not None:
            self.params.weight.settle((x.shape[checked_axis(x, self.axis)],))

    def forward(self, x: Any) -> Any:
        """The positive part, and the negative one by its slope."""
        x = as_floating(x)
        wide = promoted(x.dtype, self.weight.dtype)
        negative = (x.astype(wide) * self._slopes(x).astype(wide)).astype(x.dtype)
        return jnp.where(x > 0, x, negative)

    def _slopes(self, x: jax.Array) -> jax.Array:
        if self.axis is None:
            return self.weight.reshape(())
        axis = checked_axis(x, self.axis)
        check_width(x, axis, self.weight.shape[0])
        return self.weight.reshape(-1, *(1,) * (x.ndim - 1 - axis))


class RReLU(Block):
    """x where x > 0, s · x elsewhere, with a slope s that is drawn for each element in training.

    s is uniform on [low, high) in training, and (low + high) / 2 in eval mode.

    Args:
        low: smallest slope; default 1/8.
        high: bound above; default 1/3.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `high` is below `low`.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.RReLU(0.25, 0.75)(jnp.array([-2.0, 2.0])).tolist()
        [-1.0, 2.0]

    Reference:
        Xu et al., "Empirical evaluation of rectified activations in convolutional network" (2015).
    """

    def __init__(self, low: float = 1 / 8, high: float = 1 / 3) -> None:
        super().__init__()
        if not low <= high:
            raise ArgumentError(
                f"RReLU: expected low to be no more than high, got low={low!r} and high={high!r}; "
                f"write RReLU({high!r}, {low!r})"
            )
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        """The positive part, and some of the negative."""
        x = as_floating(x)
        if not is_training():
            return jax.nn.leaky_relu(x, (self.low + self.high) / 2)
        slopes = random.uniform(x.shape, self.low, self.high, widened(x.dtype)).astype(x.dtype)
        return jnp.where(x > 0, x, slopes * x)


class Maxout(Block):
    """The largest of each `pieces` neighbouring features: behind Dense, a learnt convex function.

    Args:
        pieces: how many features one is chosen from; it divides their number.
        axis: of the features; default the last.

    Shape:
        (..., pieces · n) → (..., n)

    Raises:
        ArgumentError: `pieces` is no positive integer, or `axis` no integer.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has no such axis, or a size there that `pieces` does not
            divide.

    Example:
        >>> nn.Maxout(2)(jnp.array([1.0, 4.0, -2.0, -3.0])).tolist()
        [4.0, -2.0]

    Reference:
        Goodfellow et al., "Maxout networks" (2013).
    """

    def __init__(self, pieces: int, axis: int = -1) -> None:
        super().__init__()
        self.pieces = check_count("Maxout", "pieces", pieces)
        self.axis = check_index("Maxout", "axis", axis)

    def forward(self, x: Any) -> Any:
        """The largest of each group of neighbours."""
        x = as_floating(x)
        axis = checked_axis(x, self.axis)
        if x.shape[axis] % self.pieces:
            raise ShapeError(
                f"{here()}: expected a size on axis {self.axis} that {self.pieces} pieces divide, "
                f"got shape {x.shape}; make it a multiple of {self.pieces} in the layer before"
            )
        shape = (*x.shape[:axis], x.shape[axis] // self.pieces, self.pieces, *x.shape[axis + 1 :])
        return x.reshape(shape).max(axis + 1)
