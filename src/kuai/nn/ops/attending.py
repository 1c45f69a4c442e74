"""Attention and rotary positions as pure functions of arrays.

They are jitted, so that an eager call runs one program rather than a dozen; `inline` makes them
part of a larger program as if they were not.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from kuai.nn._dtypes import widened
from kuai.nn.ops.fused_attention import fused_attention

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@functools.partial(jax.jit, static_argnames=("causal", "rate"), inline=True)
def attention(
    query: Float[jax.Array, "batch queries heads width"],
    key: Float[jax.Array, "batch keys key_heads width"],
    value: Float[jax.Array, "batch keys key_heads width"],
    mask: Bool[jax.Array, "#batch #heads #queries #keys"] | None = None,
    bias: Float[jax.Array, "#batch #heads #queries #keys"] | None = None,
    causal: bool = False,
    keep: Bool[jax.Array, "batch heads queries keys"] | None = None,
    rate: float = 0.0,
) -> Float[jax.Array, "batch queries heads width"]:
    """Softmax attention of each head: softmax(q kᵀ / √width + bias) v.

    A query that may attend to no key gives zeros, with zero gradient. Scores and softmax are
    computed in at least float32. On a GPU that has them, cuDNN's fused kernels do the work for half
    precision without dropout.

    Args:
        query: of one dtype with key and value.
        key: of as many heads as the query, or of a divisor of them: each serves a run of query
            heads.
        value: of the key's shape.
        mask: True where a query may attend to a key; default everywhere.
        bias: added to the scores; default none. Where it is -inf, a query may not attend.
        causal: whether query i attends to keys 0 to i only.
        keep: mask of the weights that dropout keeps; default all.
        rate: the probability with which `keep` is False.

    Shape:
        query (batch, queries, heads, width) → the same.

    Example:
        >>> from kuai.nn import ops
        >>> value = jnp.array([[[[2.0]], [[4.0]]]])
        >>> ops.attention(jnp.zeros((1, 2, 1, 1)), value, value, causal=True).ravel().tolist()
        [2.0, 3.0]

    Reference:
        Vaswani et al., "Attention is all you need" (2017).
    """
    if not key.shape[1]:
        return jnp.zeros_like(query)
    if bias is not None:
        finite = bias > -jnp.inf
        mask = finite if mask is None else mask & finite
        bias = jnp.where(finite, bias, jnp.zeros((), bias.dtype))
    if mask is None:
        return _softmax_attention(query, key, value, None, bias, causal, keep, rate)
    some = _allowed(mask, causal, query, key).any(-1, keepdims=True)
    # A query without any key attends to all, so that nothing is infinite, and is then cleared.
    y = _softmax_attention(query, key, value, mask | ~some, bias, causal, keep, rate)
    return jnp.where(some.swapaxes(1, 2), y, jnp.zeros((), y.dtype))


@functools.partial(jax.jit, static_argnames="interleaved", inline=True)
def rotate(
    x: Float[jax.Array, "batch length heads width"],
    angles: Float[jax.Array, "#batch length half"],
    interleaved: bool = False,
) -> Float[jax.Array, "batch length heads width"]:
    """Turn pairs of features by angles: (a, b) → (a cos - b sin, b cos + a sin).

    Args:
        x: the input.
        angles: of each position and pair; features beyond twice as many stay as they are.
        interleaved: whether neighbours are pairs; default: feature i and feature i + half.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([[[[1.0, 0.0]]]])
        >>> ops.rotate(x, jnp.array([[[jnp.pi / 2]]])).round(3).ravel().tolist()
        [-0.0, 1.0]

    Reference:
        Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021).
    """
    half = angles.shape[-1]
    turned, rest = x[..., : 2 * half].astype(angles.dtype), x[..., 2 * half :]
    cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    if interleaved:
        a, b = turned[..., ::2], turned[..., 1::2]
        y = jnp.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(turned.shape)
    else:
        a, b = turned[..., :half], turned[..., half:]
        y = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)
    return jnp.concatenate([y.astype(x.dtype), rest], -1)


def _softmax_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    bias: jax.Array | None,
    causal: bool,
    keep: jax.Array | None,
    rate: float,
) -> jax.Array:
    """Attention where every query has a key."""
    y = None if keep is not None else fused_attention(query, key, value, mask, bias, causal)
    if y is not None:
        return y
    scores = _scores(query, key)
    if bias is not None:
        scores = scores + bias.astype(scores.dtype)
    if mask is not None or causal:
        allowed = _allowed(mask, causal, query, key)
        scores = jnp.where(allowed, scores, jnp.asarray(-jnp.inf, scores.dtype))
    # The sums are divided by the powers' total, rather than each power: they are fewer.
    powers = jnp.exp(scores - lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = powers.sum(-1, keepdims=True).swapaxes(1, 2)
    if keep is not None:
        powers = jnp.where(keep, powers / (1 - rate), 0)
    return (_weighted(powers, value) / total).astype(value.dtype)


def _allowed(mask: jax.Array | None, causal: bool, query: jax.Array, key: jax.Array) -> jax.Array:
    """The mask, causality included."""
    if mask is not None and not causal:
        return mask
    shape = (1, 1, query.shape[1], key.shape[1])
    past = lax.broadcasted_iota(jnp.int32, shape, 2) >= lax.broadcasted_iota(jnp.int32, shape, 3)
    return past if mask is None else mask & past


def _scores(query: jax.Array, key: jax.Array) -> jax.Array:
    """(batch, heads, queries, keys), wide; the heads that share a key's head stand side by side."""
    batch, queries, heads, width = query.shape
    keys, key_heads = key.shape[1:3]
    wide = widened(query.dtype)
    shared = heads // key_heads * queries
    rows = query.transpose(0, 2, 1, 3).reshape(batch, key_heads, shared, width)
    scores = jnp.matmul(rows, key.transpose(0, 2, 3, 1), preferred_element_type=wide)
    return scores.reshape(batch, heads, queries, keys) * jnp.asarray(1 / math.sqrt(width), wide)


def _weighted(weights: jax.Array, value: jax.Array) -> jax.Array:
    """The sums of the values by weight: (batch, queries, heads, width), wide."""
    batch, heads, queries, keys = weights.shape
    key_heads, width = value.shape[2:]
    rows = weights.reshape(batch, key_heads, heads // key_heads * queries, keys)
    value = value.transpose(0, 2, 1, 3)
    y = jnp.matmul(rows.astype(value.dtype), value, preferred_element_type=weights.dtype)
    return y.reshape(batch, heads, queries, width).transpose(0, 2, 1, 3)
