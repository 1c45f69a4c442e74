"""cuDNN's fused attention, where this machine has it for the arrays at hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp

_HALF = (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))


def fused_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    bias: jax.Array | None,
    causal: bool,
) -> jax.Array | None:
    """Attention by cuDNN's kernel; None where there is none for these dtypes, shapes, or GPU.

    `jax.nn.dot_product_attention` never chooses the kernel by itself, and says only by raising
    what the kernel does not take.
    """
    if query.dtype not in _HALF or jax.default_backend() != "gpu":
        return None
    pairs = query.shape[1], key.shape[1]
    try:
        with jax.numpy_dtype_promotion("standard"):  # it mixes dtypes inside
            return jax.nn.dot_product_attention(
                query,
                key,
                value,
                bias=_spread(bias, pairs),
                mask=_spread(mask, pairs),
                is_causal=causal,
                implementation="cudnn",
            )
    except (NotImplementedError, RuntimeError, ValueError):
        return None


def _spread(array: jax.Array | None, pairs: tuple[int, int]) -> jax.Array | None:
    """Whole over queries and keys: the kernel broadcasts over batch and heads only."""
    return None if array is None else jnp.broadcast_to(array, (*array.shape[:2], *pairs))
