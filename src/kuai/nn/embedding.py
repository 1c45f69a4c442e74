"""Embedding."""

from __future__ import annotations

from typing import Any

import jax

from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn import ops
from kuai.nn._check import as_integers, check_count, dtype_of, floating_name


class Embedding(Block):
    """A learnt vector for each of `size` indices.

    Args:
        size: number of different indices.
        features: length of each vector.
        init: initializer of the table; default normal with standard deviation 0.05. PyTorch draws
            with standard deviation 1, Keras uniformly from -0.05 to 0.05.
        dtype: of the table; default float32.

    Shape:
        integers (...) → (..., features). `weight` (size, features).

    Raises:
        ArgumentError: a size is no positive integer, or the dtype is not floating; when called
            eagerly, an index is below 0 or not below `size`. Compiled, such an index gives NaN.
        DtypeError: when called, the indices are not integers.

    Example:
        >>> nn.Embedding(10, 4)(jnp.array([[1, 2, 9]])).shape
        (1, 3, 4)
    """

    weight: Any

    def __init__(
        self, size: int, features: int, init: Any = "normal", dtype: Any = "float32"
    ) -> None:
        super().__init__()
        self.size = check_count("Embedding", "size", size)
        self.features = check_count("Embedding", "features", features)
        self.init = init
        dtype = self._given_dtype = floating_name("Embedding", dtype)
        self.weight = Parameter(shape=(self.size, self.features), init=init, dtype=dtype)

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
        return ops.embedding(indices, self.weight)

    def _check_range(self, indices: jax.Array) -> None:
        """Look at the values, where there are any: a tracer has none."""
        if isinstance(indices, jax.core.Tracer) or indices.size == 0:
            return
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= self.size:
            raise ArgumentError(
                f"{here()}: expected indices from 0 to {self.size - 1}, got "
                f"{low if low < 0 else high}; make the embedding larger, or look at the data"
            )
