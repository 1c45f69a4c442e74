"""The dtype that layers compute in, and functions of many small steps as one program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def promoted(first: np.dtype, second: np.dtype) -> np.dtype:
    """The dtype that both fit in: the layers' own casts, which JAX's strict promotion allows."""
    if first == second:
        return first
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(first, second)


def as_one_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of an array and of what else it goes by, which must hash, compiled.

    For functions of many steps: in eager mode JAX would compile and run each of them by itself, and
    those of the gradient too. Inside a larger program XLA removes the seam.
    """
    _, *rest = inspect.signature(function).parameters
    return jax.jit(function, static_argnames=rest)


def widened(dtype: np.dtype) -> np.dtype:
    """The dtype to add up elements of `dtype` in: at least float32."""
    return promoted(dtype, jnp.dtype(jnp.float32))
