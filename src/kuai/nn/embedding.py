"""Embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from kuai import init as initializers
from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn import ops
from kuai.nn._check import (
    as_floating,
    as_integers,
    check_axes,
    check_count,
    check_index,
    check_width,
    dtype_of,
    floating_name,
    outside,
)


class Embedding(Block):
    """A learnt vector for each of `size` indices.

    Args:
        size: number of different indices.
        features: length of each vector.
        init: initializer of the table; default normal with standard deviation 0.05. PyTorch draws
            with standard deviation 1, Keras uniformly from -0.05 to 0.05.
        dtype: of the table; default float32.
        padding_index: an index, from the back if negative, whose vector starts as zeros and gets no
            gradient by a call, as in PyTorch; default none. Its table follows `init` alone, not
            `initialize(init=)`.

    Shape:
        integers (...) → (..., features). `weight` (size, features).

    Raises:
        ArgumentError: a size is no positive integer, the padding index is no index, or the dtype is
            not floating; when called eagerly, an index is below 0 or not below `size`. Compiled,
            such an index gives NaN.
        DtypeError: when called, the indices are not integers.

    Example:
        >>> nn.Embedding(10, 4)(jnp.array([[1, 2, 9]])).shape
        (1, 3, 4)
        >>> nn.Embedding(10, 2, padding_index=0)(jnp.array([0])).tolist()
        [[0.0, 0.0]]
    """

    weight: Any

    def __init__(
        self,
        size: int,
        features: int,
        init: Any = "normal",
        dtype: Any = "float32",
        padding_index: int | None = None,
    ) -> None:
        super().__init__()
        self.size = check_count("Embedding", "size", size)
        self.features = check_count("Embedding", "features", features)
        self.init = init
        self.padding_index = None if padding_index is None else self._checked(padding_index)
        dtype = self._given_dtype = floating_name("Embedding", dtype)
        made = init if self.padding_index is None else _ZeroRow(init, self.padding_index)
        self.weight = Parameter(shape=(self.size, self.features), init=made, dtype=dtype)

    def _checked(self, index: Any) -> int:
        number = check_index("Embedding", "padding_index", index)
        if not -self.size <= number < self.size:
            raise ArgumentError(
                f"Embedding: expected padding_index to be an index of the {self.size} vectors, got "
                f"{index}; write for example padding_index=0"
            )
        return number % self.size

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.Embedding(4, 2).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self, self._given_dtype)

    def forward(self, indices: Any) -> Any:
        """The rows at the indices."""
        indices = as_integers(indices)
        self._check_range(indices)
        rows = ops.embedding(indices, self.weight)
        if self.padding_index is None:
            return rows
        padding = (indices == self.padding_index)[..., None]
        return jnp.where(padding, jax.lax.stop_gradient(rows), rows)

    def attend(self, x: Any) -> Any:
        """The products of vectors with every row, x Wᵀ: logits over the indices, by the same table.

        Args:
            x: (..., features).

        Returns:
            (..., size), in the dtype that x and the table promote to.

        Raises:
            DtypeError: the input is not floating.
            ShapeError: it has another width than the rows, or no axis at all.

        Example:
            >>> embedding = nn.Embedding(10, 4)
            >>> embedding.attend(embedding(jnp.array([1, 2]))).shape
            (2, 10)

        Reference:
            Press and Wolf, "Using the output embedding to improve language models" (2017).
        """
        x = as_floating(x)
        check_axes(x, 1)
        check_width(x, -1, self.features)
        return ops.dense(x, self.weight.T)

    def _check_range(self, indices: jax.Array) -> None:
        wrong = outside(indices, self.size - 1)
        if wrong is not None:
            raise ArgumentError(
                f"{here()}: expected indices from 0 to {self.size - 1}, got {wrong}; make the "
                "embedding larger, or look at the data"
            )


@dataclass(frozen=True)
class _ZeroRow:
    """An initializer whose values are another's but for one row of zeros."""

    init: Any
    row: int

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        chosen = "normal" if self.init is None else self.init
        return initializers.get(chosen)(key, shape, dtype).at[self.row].set(0)
