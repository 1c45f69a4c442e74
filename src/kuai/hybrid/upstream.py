"""What kuai needs of JAX's internals. tests/test_upstream.py fails first when it moves.

JAX has no public way to make a weakly typed array of a traced one. A Python number that a loop
carries must stay weak: `x * n` may not change its dtype because `n` became an array. Nor does it
tell whether two operations stand in one trace, or one of them in a function given to `scan`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax._src import core
from jax._src.lax import lax


def weakened(array: Any, dtype: Any) -> jax.Array:
    """An array of a dtype that gives way to others, as a Python number does."""
    weak: jax.Array = lax._convert_element_type(array, jnp.dtype(dtype), weak_type=True)
    return weak


def level() -> Any:
    """What JAX traces into now: another object inside the function of a scan, a vmap, a jit."""
    return core.trace_ctx.trace
