"""The layers' arithmetic as pure functions of arrays: no blocks, no state, no modes."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from kuai.nn._dtypes import promoted as promoted
from kuai.nn._dtypes import widened
from kuai.nn.norm_ops import batch_norm as batch_norm
from kuai.nn.norm_ops import group_norm as group_norm
from kuai.nn.norm_ops import layer_norm as layer_norm
from kuai.nn.norm_ops import local_response_norm as local_response_norm
from kuai.nn.norm_ops import moments as moments
from kuai.nn.norm_ops import rms_norm as rms_norm

__all__ = ["alpha_dropout", "batch_norm", "dense", "dropout", "embedding", "group_norm",
           "layer_norm", "local_response_norm", "moments", "rms_norm"]  # fmt: skip

# The negative end of SELU, which an element of AlphaDropout is sent to: -scale · alpha.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def dense(
    x: Float[Array, "*batch inputs"],
    weight: Float[Array, "inputs units"],
    bias: Float[Array, " units"] | None = None,
) -> Float[Array, "*batch units"]:
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
    y = flat.astype(dtype) @ weight.astype(dtype)
    if bias is not None:
        y = y + bias.astype(dtype)
    return y.reshape(*batch, weight.shape[-1])


def dropout(
    x: Float[Array, "*shape"], keep: Bool[Array, "*#shape"], rate: float
) -> Float[Array, "*shape"]:
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
    x: Float[Array, "*shape"], keep: Bool[Array, "*#shape"], rate: float
) -> Float[Array, "*shape"]:
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


def embedding(
    indices: Integer[Array, "*batch"], table: Float[Array, "size features"]
) -> Float[Array, "*batch features"]:
    """The rows of `table` at `indices`; an index below 0 or beyond the table gives NaN.

    Args:
        indices: from 0 to size - 1.
        table: one row for each index.

    Shape:
        indices (...), table (size, features) → (..., features)

    Example:
        >>> from kuai.nn import ops
        >>> ops.embedding(jnp.array([1, 2]), jnp.array([[0.0], [5.0]])).tolist()
        [[5.0], [nan]]
    """
    rows = table.at[indices]
    return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
