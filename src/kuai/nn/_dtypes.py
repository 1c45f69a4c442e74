"""The dtype that layers compute in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def promoted(first: np.dtype, second: np.dtype) -> np.dtype:
    """The dtype that both fit in: the layers' own casts, which JAX's strict promotion allows."""
    if first == second:
        return first
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(first, second)


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype to add up elements of `dtype` in: at least float32."""
    return promoted(dtype, jnp.dtype(jnp.float32))
