"""What kuai needs of JAX's internals. These fail first when it moves."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kuai.hybrid.upstream import weakened


def test_a_weakened_array_gives_way_to_others():
    @jax.jit
    def scaled(n, x):
        weak = weakened(n, jnp.float32)
        assert weak.weak_type
        assert weak.dtype == jnp.float32
        return x * weak

    with jax.numpy_dtype_promotion("strict"):
        product = scaled(jnp.int32(3), jnp.ones(2, jnp.bfloat16))
    assert product.dtype == jnp.bfloat16
    assert product.tolist() == [3.0, 3.0]
