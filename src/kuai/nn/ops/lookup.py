"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float, Integer


def embedding(
    indices: Integer[jax.Array, "*batch"], table: Float[jax.Array, "size features"]
) -> Float[jax.Array, "*batch features"]:
    """The rows of `table` at `indices`; an index below 0 or beyond the table gives NaN.

    Args:
        indices: from 0 to size - 1.
        table: one row for each index.

    Shape:
        indices (...), table (size, features) → (..., features)

    Example:
        >>> from kuai.nn import ops
        >>> ops.embedding(jnp.array([1, 2]), jnp.array([[0.0], [5.0]])).tolist()
        [[5.0], [nan]]
    """
    rows = table.at[indices]
    return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
