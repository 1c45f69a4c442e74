"""Embedding."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn import ops
from kuai.nn._check import as_integers, check_positive


class Embedding(Block):
    """A learnt vector for each of `size` indices.

    Args:
        size: number of different indices.
        features: length of each vector.
        init: initializer of the table; default normal with standard deviation 0.05.
        dtype: of the table; default float32.

    Shape:
        integers (...) → (..., features). `weight` (size, features).

    Raises:
        ArgumentError: a size is no positive integer; when called eagerly, an index is out of range.
            Compiled, an index out of range gives NaN.
        DtypeError: when called, the indices are not integers.

    Example:
        >>> nn.Embedding(10, 4)(jnp.array([[1, 2, 9]])).shape
        (1, 3, 4)
    """

    def __init__(self, size: int, features: int, init: Any = None, dtype: Any = jnp.float32) -> None:
        super().__init__()
        self.size = check_positive("Embedding", "size", size)
        self.features = check_positive("Embedding", "features", features)
        shape = (self.size, self.features)
        self.weight = Parameter(shape=shape, init="normal" if init is None else init, dtype=dtype)

    def forward(self, indices: Any) -> Any:
        indices = as_integers(indices)
        self._check_range(indices)
        return ops.embedding(indices, self.weight)

    def _check_range(self, indices: jax.Array) -> None:
        if isinstance(indices, jax.core.Tracer) or indices.size == 0:
            return
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= self.size:
            raise ArgumentError(
                f"{here()}: expected indices from 0 to {self.size - 1}, got {low if low < 0 else high}"
            )
