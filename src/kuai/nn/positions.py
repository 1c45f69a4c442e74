"""What tells a transformer where a token stands: learnt vectors, and waves."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn import ops
from kuai.nn._check import (
    as_array,
    as_floating,
    as_integers,
    check_count,
    check_positive,
    check_sequence,
    check_width,
    dtype_of,
    floating_name,
    outside,
)
from kuai.nn._dtypes import promoted, widened


def positions_of(positions: Any, batch: int, length: int) -> jax.Array:
    """Integers (1 or batch, length), from those of a call: none, the first, or all.

    Raises:
        DtypeError: they are not integers.
        ShapeError: they have another shape.
    """
    if positions is None:
        return jnp.arange(length)[None]
    found = jnp.asarray(positions) if isinstance(positions, int) else positions
    given = as_integers(found, "positions")
    if given.ndim == 0:
        return given + jnp.arange(length, dtype=given.dtype)[None]
    if given.shape not in ((length,), (1, length), (batch, length)):
        raise ShapeError(
            f"{here()}: expected positions of shape ({batch}, {length}), ({length},), or () for "
            f"the first one, got {given.shape}; give one for each token"
        )
    return given.reshape(-1, length)


class PositionEmbedding(Block):
    """Adds a learnt vector to each position: y = x + weight[position].

    Args:
        length: of the longest sequence.
        init: initializer of the table; default normal with standard deviation 0.05.
        dtype: of the table; default float32.

    Shape:
        (batch, time, features) → the same. `weight` (length, features). Positions: integers, those
        of the whole input (batch, time) or (time,), or only the first one (); default from 0 on.

    Raises:
        ArgumentError: `length` is no positive integer, or the dtype is not floating; when called
            eagerly, a position is below 0 or not below `length`. Compiled, such a position gives
            NaN.
        DtypeError: when called, the input is not floating or the positions are not integers.
        ShapeError: when called, the input is longer than the table, has no three axes, or another
            width than at first; or the positions have another shape.

    Example:
        >>> nn.PositionEmbedding(10)(jnp.ones((2, 5, 4))).shape
        (2, 5, 4)
        >>> nn.PositionEmbedding(10)(jnp.ones((2, 1, 4)), jnp.array(7)).shape
        (2, 1, 4)

    Reference:
        Gehring et al., "Convolutional sequence to sequence learning" (2017).
    """

    weight: Any

    def __init__(self, length: int, init: Any = "normal", dtype: Any = "float32") -> None:
        super().__init__()
        self.length = check_count("PositionEmbedding", "length", length)
        self.init = init
        dtype = self._given_dtype = floating_name("PositionEmbedding", dtype)
        self.weight = Parameter(shape=(self.length, None), init=init, dtype=dtype)

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.PositionEmbedding(4).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any, positions: Any = None) -> None:  # noqa: ARG002  # as forward
        """Settle the width of the input."""
        x = as_array(x)
        check_sequence(x)
        self.params.weight.settle((self.length, x.shape[-1]))

    def forward(self, x: Any, positions: Any = None) -> Any:
        """The input with the vectors of its positions added."""
        x = as_floating(x)
        check_sequence(x)
        check_width(x, 2, self.weight.shape[1])
        self._check_length(x)
        found = positions_of(positions, x.shape[0], x.shape[1])
        self._check_range(found)
        dtype = promoted(x.dtype, self.weight.dtype)
        return x.astype(dtype) + ops.embedding(found, self.weight).astype(dtype)

    def _check_length(self, x: jax.Array) -> None:
        if x.shape[1] > self.length:
            raise ShapeError(
                f"{here()}: expected a sequence of at most {self.length} positions, got shape "
                f"{x.shape}; cut it, or make the table longer"
            )

    def _check_range(self, positions: jax.Array) -> None:
        wrong = outside(positions, self.length - 1)
        if wrong is not None:
            raise ArgumentError(
                f"{here()}: expected positions from 0 to {self.length - 1}, got {wrong}; cut the "
                "sequence, or make the table longer"
            )


class SinusoidalPositions(Block):
    """Adds waves of falling frequency: sin(position · ω) to even features, cos to odd ones.

    ω = base^(-2i / features) for the i-th pair of features. It has no parameters.

    Args:
        base: default 10000.

    Shape:
        (batch, time, features) → the same. Positions: integers, those of the whole input
        (batch, time) or (time,), or only the first one (); default from 0 on.

    Raises:
        ArgumentError: `base` is not positive.
        DtypeError: when called, the input is not floating or the positions are not integers.
        ShapeError: when called, the input has no three axes, or the positions another shape.

    Example:
        >>> nn.SinusoidalPositions()(jnp.zeros((1, 1, 4)), jnp.array(0)).tolist()
        [[[0.0, 1.0, 0.0, 1.0]]]

    Reference:
        Vaswani et al., "Attention is all you need" (2017).
    """

    def __init__(self, base: float = 10000.0) -> None:
        super().__init__()
        self.base = check_positive("SinusoidalPositions", "base", base)

    def forward(self, x: Any, positions: Any = None) -> Any:
        """The input with the waves of its positions added."""
        x = as_floating(x)
        check_sequence(x)
        batch, length, features = x.shape
        wide = widened(x.dtype)
        pairs = self.base ** (-np.arange(0, features, 2) / features)
        found = positions_of(positions, batch, length).astype(wide)[..., None]
        angles = found * jnp.asarray(pairs, wide)
        waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1).reshape(*angles.shape[:2], -1)
        return x + waves[..., :features].astype(x.dtype)
