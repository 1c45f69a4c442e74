"""Numbers less their mean, over their standard deviation, with the gradient written out.

Taken apart by autodiff, mean and variance each send a gradient of their own through the whole
array; together they are one pass over it.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def standardized(x: jax.Array, axes: tuple[int, ...], epsilon: float) -> jax.Array:
    """(x - E[x]) / sqrt(Var[x] + epsilon) over `axes`, in the dtype of x."""
    return _with_scale(x, axes, epsilon)[0]


@standardized.defjvp
def _standardized_tangent(
    axes: tuple[int, ...],
    epsilon: float,
    primals: tuple[jax.Array],
    tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:
    y, scale = _with_scale(primals[0], axes, epsilon)
    (dx,) = tangents
    along = (y * dx).mean(axes, keepdims=True)
    return y, scale * (dx - dx.mean(axes, keepdims=True) - y * along)


def _with_scale(x: jax.Array, axes: tuple[int, ...], epsilon: float) -> tuple[jax.Array, jax.Array]:
    centred = x - x.mean(axes, keepdims=True)
    variance = jnp.square(centred).mean(axes, keepdims=True)
    scale = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    return centred * scale, scale
