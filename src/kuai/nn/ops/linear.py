"""Maps that are linear in each of their arguments."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from kuai.nn._dtypes import promoted
from kuai.nn.ops.product import product

if TYPE_CHECKING:
    from jaxtyping import Float


@functools.partial(jax.jit, inline=True)
def dense(
    x: Float[jax.Array, "*batch inputs"],
    weight: Float[jax.Array, "inputs units"],
    bias: Float[jax.Array, " units"] | None = None,
) -> Float[jax.Array, "*batch units"]:
    """The affine map y = x W + b over the last axis.

    Leading axes are flattened into one for the product: on CPU, XLA's gradient of a product with
    several batch axes is slow.

    Args:
        x: the input.
        weight: W.
        bias: b; default none.

    Shape:
        x (..., inputs), weight (inputs, units), bias (units,) → (..., units), in the dtype that x
        and W promote to.

    Example:
        >>> from kuai.nn import ops
        >>> ops.dense(jnp.ones((1, 2)), jnp.ones((2, 3))).tolist()
        [[2.0, 2.0, 2.0]]
    """
    dtype = promoted(x.dtype, weight.dtype)
    *batch, inputs = x.shape
    flat = x.reshape(math.prod(batch), inputs) if len(batch) > 1 else x
    y = product(flat.astype(dtype), weight.astype(dtype))
    if bias is not None:
        y = y + bias.astype(dtype)
    return y.reshape(*batch, weight.shape[-1])


def bilinear(
    first: Float[jax.Array, "*batch first"],
    second: Float[jax.Array, "*batch second"],
    weight: Float[jax.Array, "first second units"],
    bias: Float[jax.Array, " units"] | None = None,
) -> Float[jax.Array, "*batch units"]:
    """y[u] = x₁ᵀ W[:, :, u] x₂ + b[u] over the last axes.

    Args:
        first: x₁.
        second: x₂.
        weight: W.
        bias: b; default none.

    Shape:
        first (..., i), second (..., j), weight (i, j, units), bias (units,) → (..., units), in the
        dtype that all but b promote to; the sum over j is taken in at least float32.

    Example:
        >>> from kuai.nn import ops
        >>> ops.bilinear(jnp.ones((1, 2)), jnp.ones((1, 3)), jnp.ones((2, 3, 1))).tolist()
        [[6.0]]
    """
    dtype = promoted(promoted(first.dtype, second.dtype), weight.dtype)
    wide = promoted(dtype, jnp.dtype(jnp.float32))
    inputs, others, units = weight.shape
    partial = dense(first.astype(dtype), weight.reshape(inputs, others * units)).astype(wide)
    partial = partial.reshape(*first.shape[:-1], others, units)
    y = (partial * second.astype(wide)[..., None]).sum(-2).astype(dtype)
    return y if bias is None else y + bias.astype(dtype)
