"""Elements dropped where a mask says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from kuai.nn._dtypes import widened

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


# The negative end of SELU, which an element of AlphaDropout is sent to: -scale · alpha.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def dropout(
    x: Float[jax.Array, "*shape"], keep: Bool[jax.Array, "*#shape"], rate: float
) -> Float[jax.Array, "*shape"]:
    """Zero where `keep` is False and scale the rest by 1 / (1 - rate).

    Args:
        x: the input.
        keep: mask that broadcasts to x.
        rate: the probability with which the mask is False.

    Shape:
        That of x.

    Example:
        >>> from kuai.nn import ops
        >>> ops.dropout(jnp.ones(2), jnp.array([True, False]), 0.5)
        Array([2., 0.], dtype=float32)
    """
    return jnp.where(keep, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros((), x.dtype))


def alpha_dropout(
    x: Float[jax.Array, "*shape"], keep: Bool[jax.Array, "*#shape"], rate: float
) -> Float[jax.Array, "*shape"]:
    """Send elements to SELU's floor where `keep` is False, and restore mean 0 and variance 1.

    Args:
        x: the input.
        keep: mask that broadcasts to x.
        rate: the probability with which the mask is False.

    Shape:
        That of x.

    Example:
        >>> from kuai.nn import ops
        >>> ops.alpha_dropout(jnp.ones(2), jnp.array([True, False]), 0.5).round(1)
        Array([ 1.7, -0.8], dtype=float32)

    Reference:
        Klambauer et al., "Self-normalizing neural networks" (2017).
    """
    wide = x.astype(widened(x.dtype))
    factor = ((1 - rate) * (1 + rate * _SELU_FLOOR**2)) ** -0.5
    dropped = jnp.where(keep, wide, jnp.asarray(_SELU_FLOOR, wide.dtype))
    return (factor * dropped - factor * _SELU_FLOOR * rate).astype(x.dtype)
