"""A matrix times a weight, with a gradient in the form that XLA's CPU backend does fast.

The gradient of a weight, xᵀ g, contracts the first axis of both operands. XLA's CPU matmul takes
that several times longer than a plain product of matrices that lie as they are read. So on CPU a
large operand is first written out transposed: the smaller of x and g, whose copy is cheap beside
the product. It is done by the form of the tangent, of which the gradient is the transpose, so that
forward mode and higher derivatives work as ever.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

# Below, a copy costs more than it saves.
_LEAST_ROWS, _LEAST_WIDTH = 128, 64


def product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """The product of two matrices."""
    large = x.ndim == 2 and x.shape[0] >= _LEAST_ROWS and min(weight.shape) >= _LEAST_WIDTH
    if large and jax.default_backend() == "cpu":
        return _product(x, weight)
    return x @ weight


@jax.custom_jvp
def _product(x: jax.Array, weight: jax.Array) -> jax.Array:
    return x @ weight


@_product.defjvp
def _product_tangent(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, weight), (dx, dweight) = primals, tangents
    return x @ weight, dx @ weight + _applied(x, dweight)


def _applied(x: jax.Array, weight: jax.Array) -> jax.Array:
    """The product, so written that its transpose copies the narrower operand of xᵀ g.

    A barrier keeps XLA from folding the copy into the product again.
    """
    barrier = lax.optimization_barrier
    if x.shape[1] > weight.shape[1]:
        return barrier(barrier(weight.T) @ x.T).T
    return jnp.matmul(barrier(x.T).T, weight)
