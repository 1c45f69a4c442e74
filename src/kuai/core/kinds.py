"""Shapes with dimensions that are not known yet, and dtypes that may become others."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError

Shape = tuple[int | None, ...]


def checked_shape(shape: Any, where: str) -> Shape:
    """A shape as a user gave it, for the values of a holder that are made later.

    Args:
        shape: a number or a sequence of numbers; None stands for a dimension not known yet.
        where: for messages.

    Raises:
        ArgumentError: it is none.
    """
    if shape is None:
        raise ArgumentError(f"{where}: expected a value or a shape, got neither")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        if size is not None and (
            isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0
        ):
            raise ArgumentError(
                f"{where}: expected sizes of at least 0, or None where unknown, got shape {sizes}"
            )
    return tuple(None if size is None else int(size) for size in sizes)


def check_switched_on(where: str, dtype: np.dtype) -> None:
    """Check that JAX would make arrays of a dtype, and not quietly of half its size.

    Raises:
        ArgumentError: it has 64 bits a number, which JAX has switched off by default.
    """
    made = jax.dtypes.canonicalize_dtype(dtype)
    if made != dtype:
        raise ArgumentError(
            f"{where}: expected a dtype that JAX has switched on, got {dtype}; switch it on by "
            'jax.config.update("jax_enable_x64", True) at the start of the program, or write '
            f"dtype={str(made)!r}"
        )


def castable(source: Any, target: Any) -> bool:
    """Whether a value may change from `source` to `target` without changing its kind."""
    order = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    rank = [
        next((i for i, kind in enumerate(order) if jnp.issubdtype(d, kind)), -1)
        for d in (source, target)
    ]
    return -1 < rank[0] <= rank[1]
