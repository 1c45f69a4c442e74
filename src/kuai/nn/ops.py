"""The layers' arithmetic as pure functions of arrays: no blocks, no state, no modes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from kuai.nn._dtypes import promoted as promoted
from kuai.nn._dtypes import widened
from kuai.nn.adaptive_pooling import adaptive_avg_pool as adaptive_avg_pool
from kuai.nn.adaptive_pooling import adaptive_max_pool as adaptive_max_pool
from kuai.nn.convolution import conv as conv
from kuai.nn.convolution import conv_transpose as conv_transpose
from kuai.nn.gru_ops import gru as gru
from kuai.nn.lstm_ops import lstm as lstm
from kuai.nn.norm_ops import batch_norm as batch_norm
from kuai.nn.norm_ops import group_norm as group_norm
from kuai.nn.norm_ops import layer_norm as layer_norm
from kuai.nn.norm_ops import local_response_norm as local_response_norm
from kuai.nn.norm_ops import moments as moments
from kuai.nn.norm_ops import rms_norm as rms_norm
from kuai.nn.ops_attention import attention as attention
from kuai.nn.ops_attention import rotate as rotate
from kuai.nn.padding import pad as pad
from kuai.nn.pooling import avg_pool as avg_pool
from kuai.nn.pooling import max_pool as max_pool
from kuai.nn.product import product
from kuai.nn.resizing import resize as resize
from kuai.nn.rnn_ops import rnn as rnn
from kuai.nn.shuffling import pixel_shuffle as pixel_shuffle
from kuai.nn.shuffling import pixel_unshuffle as pixel_unshuffle

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Integer

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "alpha_dropout", "attention", "avg_pool",
           "batch_norm", "bilinear", "conv", "conv_transpose", "dense", "dropout", "embedding",
           "group_norm", "gru", "layer_norm", "local_response_norm", "lstm", "max_pool",
           "moments", "pad", "pixel_shuffle", "pixel_unshuffle", "resize", "rms_norm", "rnn",
           "rotate"]  # fmt: skip


# The negative end of SELU, which an element of AlphaDropout is sent to: -scale · alpha.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


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


def embedding(
    indices: Integer[jax.Array, "*batch"], table: Float[jax.Array, "size features"]
) -> Float[jax.Array, "*batch features"]:
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


def _normalize(
    x: Float[jax.Array, "*shape"],
    mean: Float[jax.Array, "*#shape"],
    variance: Float[jax.Array, "*#shape"],
    epsilon: float,
    scale: Float[jax.Array, "*features"] | None,
    shift: Float[jax.Array, "*features"] | None,
) -> Float[jax.Array, "*shape"]:
    """(x - mean) / sqrt(variance + epsilon) · scale + shift, computed wide, in the dtype of x."""
    wide = promoted(x.dtype, mean.dtype)
    factor = lax.rsqrt(variance.astype(wide) + jnp.asarray(epsilon, wide))
    if scale is not None:
        factor = factor * scale.astype(wide)
    y = (x.astype(wide) - mean.astype(wide)) * factor
    if shift is not None:
        y = y + shift.astype(wide)
    return y.astype(x.dtype)
