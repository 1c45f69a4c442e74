"""Activations that JAX lacks, as functions; `kuai.nn` re-exports them beside JAX's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float


def hard_shrink(
    x: Float[jax.Array, "*shape"], threshold: float = 0.5
) -> Float[jax.Array, "*shape"]:
    """X where |x| > threshold, 0 elsewhere.

    Args:
        x: the input.
        threshold: default 0.5.

    Shape:
        That of x.

    Example:
        >>> nn.hard_shrink(jnp.array([-1.0, 0.25])).tolist()
        [-1.0, 0.0]
    """
    return jnp.where(jnp.abs(x) > threshold, x, jnp.zeros_like(x))


def soft_shrink(
    x: Float[jax.Array, "*shape"], threshold: float = 0.5
) -> Float[jax.Array, "*shape"]:
    """X moved towards 0 by the threshold: sign(x) · max(|x| - threshold, 0).

    Args:
        x: the input.
        threshold: default 0.5.

    Shape:
        That of x.

    Example:
        >>> nn.soft_shrink(jnp.array([-1.0, 0.25])).tolist()
        [-0.5, 0.0]
    """
    moved = jnp.where(x > 0, x - threshold, x + threshold)
    return jnp.where(jnp.abs(x) > threshold, moved, jnp.zeros_like(x))


def tanh_shrink(x: Float[jax.Array, "*shape"]) -> Float[jax.Array, "*shape"]:
    """X - tanh(x).

    Args:
        x: the input.

    Shape:
        That of x.

    Example:
        >>> round(nn.tanh_shrink(jnp.array(1.0)).item(), 3)
        0.238
    """
    return x - jnp.tanh(x)


def threshold(
    x: Float[jax.Array, "*shape"], threshold: float, value: float
) -> Float[jax.Array, "*shape"]:
    """X where x > threshold, `value` elsewhere.

    Args:
        x: the input.
        threshold: above which x stays.
        value: of the rest.

    Shape:
        That of x.

    Example:
        >>> nn.threshold(jnp.array([0.5, 2.0]), 1.0, -3.0).tolist()
        [-3.0, 2.0]
    """
    return jnp.where(x > threshold, x, jnp.full_like(x, value))


def quick_gelu(x: Float[jax.Array, "*shape"]) -> Float[jax.Array, "*shape"]:
    """X · sigmoid(1.702 x), which is close to the Gaussian error linear unit.

    Args:
        x: the input.

    Shape:
        That of x.

    Example:
        >>> nn.quick_gelu(jnp.array(0.0)).item()
        0.0

    Reference:
        Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """
    return x * jax.nn.sigmoid(1.702 * x)


def softmin(x: Float[jax.Array, "*shape"], axis: int = -1) -> Float[jax.Array, "*shape"]:
    """exp(-x) / sum exp(-x) along an axis.

    Args:
        x: the input.
        axis: default the last.

    Shape:
        That of x.

    Example:
        >>> nn.softmin(jnp.array([0.0, 1000.0])).tolist()
        [1.0, 0.0]
    """
    return jax.nn.softmax(-x, axis)


def sparsemax(x: Float[jax.Array, "*shape"], axis: int = -1) -> Float[jax.Array, "*shape"]:
    """The probabilities nearest to x: max(x - t, 0) with the t at which they sum to 1.

    Args:
        x: the input.
        axis: default the last.

    Shape:
        That of x.

    Example:
        >>> nn.sparsemax(jnp.array([1.0, 0.5, -2.0])).tolist()
        [0.75, 0.25, 0.0]

    Reference:
        Martins and Astudillo, "From softmax to sparsemax" (2016).
    """
    rows = jnp.moveaxis(x, axis, -1)
    rows = rows - jax.lax.stop_gradient(rows.max(-1, keepdims=True, initial=-jnp.inf))
    descending = -jnp.sort(-rows, -1)
    places = jnp.arange(1, rows.shape[-1] + 1, dtype=x.dtype)
    sums = jnp.cumsum(descending, -1)
    support = 1 + places * descending > sums
    count = support.sum(-1, keepdims=True, dtype=x.dtype)
    total = jnp.where(support, descending, jnp.zeros_like(rows)).sum(-1, keepdims=True)
    return jnp.moveaxis(jnp.maximum(rows - (total - 1) / count, 0), -1, axis)
