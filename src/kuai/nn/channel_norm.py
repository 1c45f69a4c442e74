"""Norms over groups of features of each example: group norm, and instance norm, its finest."""

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
    check_axes,
    check_count,
    check_index,
    check_number,
    check_width,
    checked_axis,
    dtype_of,
    floating_name,
)


class _ChannelNorm(Block):
    """What they share: a scale and a shift for each feature, and the checks of an input."""

    weight: Any
    bias: Any
    least_axes = 2

    def __init__(
        self, axis: int, epsilon: float, use_scale: bool, use_bias: bool, dtype: Any
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.axis = check_index(where, "axis", axis)
        self.epsilon = check_number(where, "epsilon", epsilon, math.inf)
        self.use_scale, self.use_bias = use_scale, use_bias
        dtype = self._given_dtype = floating_name(where, dtype)
        self.weight = Parameter(shape=(None,), init="ones", dtype=dtype) if use_scale else None
        self.bias = Parameter(shape=(None,), init="zeros", dtype=dtype) if use_bias else None

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.GroupNorm(2).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any) -> None:
        """Settle the number of features."""
        x = as_array(x)
        axis = self._features_axis(x)
        self._check_input(x, axis)
        for name in self.params:
            self.params[name].settle((x.shape[axis],))

    def _checked(self, x: Any) -> tuple[jax.Array, int]:
        """The input, and the axis of its features counted from the front."""
        x = as_floating(x)
        axis = self._features_axis(x)
        parameter = self.bias if self.weight is None else self.weight
        if parameter is not None:
            check_width(x, axis, parameter.shape[0])
        self._check_input(x, axis)
        return x, axis

    def _features_axis(self, x: jax.Array) -> int:
        check_axes(x, self.least_axes)
        axis = checked_axis(x, self.axis)
        if axis == 0:
            raise ShapeError(
                f"{here()}: expected the features on another axis than the first, which is the "
                f"batch's, got axis={self.axis} for shape {x.shape}; choose another axis, or add "
                "a batch axis with x[None]"
            )
        return axis

    def _check_input(self, x: jax.Array, axis: int) -> None:
        """What a norm asks of the shape besides."""


class GroupNorm(_ChannelNorm):
    """Normalizes groups of features of each example over all places, and scales each feature.

    y = (x - E[x]) / sqrt(Var[x] + epsilon) · scale + shift, with the mean and the biased variance
    of a group's features at all places of one example: the same in training as in eval mode. They
    are taken in at least float32; the output has the dtype of the input.

    Args:
        groups: how many groups of neighbouring features; it divides their number. 1 normalizes
            over all of them.
        axis: of the features; default the last. 1 for (batch, features, height, width), which is
            where PyTorch, Gluon and Paddle have them.
        epsilon: added to the variance; default 1e-5, as in PyTorch, Gluon and Paddle. Keras has
            1e-3, Flax 1e-6.
        use_scale: whether the result is scaled; default True.
        use_bias: whether it is shifted; default True.
        dtype: of the parameters; default float32.

    Shape:
        (batch, ..., features) → the same. `weight` and `bias` (features,).

    Raises:
        ArgumentError: `groups` is no positive integer, epsilon is negative, `axis` is no integer,
            or the dtype is not floating; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has fewer than two axes, a number of features that the
            groups do not divide, or another than at first.

    Example:
        >>> nn.GroupNorm(2)(jnp.array([[1.0, 3.0, 10.0, 30.0]])).round(3).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    Reference:
        Wu and He, "Group normalization" (2018).
    """

    def __init__(
        self,
        groups: int,
        axis: int = -1,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        self.groups = check_count("GroupNorm", "groups", groups)
        super().__init__(axis, epsilon, use_scale, use_bias, dtype)

    def forward(self, x: Any) -> Any:
        """The normalized input, scaled and shifted."""
        x, axis = self._checked(x)
        return ops.group_norm(x, self.groups, self.epsilon, self.weight, self.bias, axis)

    def _check_input(self, x: jax.Array, axis: int) -> None:
        if x.shape[axis] % self.groups:
            raise ShapeError(
                f"{here()}: expected a number of features that {self.groups} groups divide, got "
                f"{x.shape[axis]} on axis {axis} of shape {x.shape}; choose groups that divide "
                f"{x.shape[axis]}"
            )


class InstanceNorm(_ChannelNorm):
    """Normalizes each feature of each example over all places: y = (x - E[x]) / sqrt(Var[x] + ε).

    The mean and the biased variance are those of one feature of one example, the same in training
    as in eval mode; there are no running statistics. They are taken in at least float32; the output
    has the dtype of the input.

    Args:
        axis: of the features; default the last. 1 for (batch, features, height, width), which is
            where PyTorch, Gluon and Paddle have them.
        epsilon: ε, added to the variance; default 1e-5, as in PyTorch, Gluon and Paddle.
        use_scale: whether the result is scaled; default False, as in PyTorch. Paddle scales and
            shifts, Gluon shifts.
        use_bias: whether it is shifted; default False.
        dtype: of the parameters; default float32.

    Shape:
        (batch, places..., features) → the same. `weight` and `bias` (features,).

    Raises:
        ArgumentError: epsilon is negative, `axis` is no integer, or the dtype is not floating; when
            called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has fewer than three axes, fewer than two places, or
            another number of features than at first.

    Example:
        >>> nn.InstanceNorm()(jnp.array([[[1.0, 10.0], [3.0, 30.0]]])).round(3).tolist()
        [[[-1.0, -1.0], [1.0, 1.0]]]

    Reference:
        Ulyanov et al., "Instance normalization" (2016).
    """

    least_axes = 3

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-5,
        use_scale: bool = False,
        use_bias: bool = False,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(axis, epsilon, use_scale, use_bias, dtype)

    def forward(self, x: Any) -> Any:
        """The normalized input, scaled and shifted."""
        x, axis = self._checked(x)
        return ops.group_norm(x, x.shape[axis], self.epsilon, self.weight, self.bias, axis)

    def _check_input(self, x: jax.Array, axis: int) -> None:
        if math.prod(n for other, n in enumerate(x.shape) if other not in (0, axis)) < 2:
            raise ShapeError(
                f"{here()}: expected at least two places for each feature of an example, got shape "
                f"{x.shape}; use GroupNorm, which joins features"
            )
