"""The layers' arithmetic as pure functions of arrays: no blocks, no state, no modes."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Integer

from kuai.nn._dtypes import promoted as promoted
from kuai.nn._dtypes import widened
from kuai.nn.ops_attention import attention as attention
from kuai.nn.ops_attention import rotate as rotate
from kuai.nn.product import product
from kuai.nn.standardized import standardized

__all__ = ["attention", "batch_norm", "dense", "dropout", "embedding", "layer_norm", "moments",
           "rotate"]  # fmt: skip


@functools.partial(jax.jit, inline=True)
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
    y = product(flat.astype(dtype), weight.astype(dtype))
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


def moments(
    x: Float[Array, "*shape"], axes: tuple[int, ...]
) -> tuple[Float[Array, "*reduced"], Float[Array, "*reduced"]]:
    """Mean and biased variance over `axes`, kept as axes of size 1, in at least float32.

    Args:
        x: the input.
        axes: over which they are taken.

    Shape:
        That of x with 1 for each of `axes`, twice.

    Example:
        >>> from kuai.nn import ops
        >>> mean, variance = ops.moments(jnp.array([[1.0, 3.0]]), (1,))
        >>> mean.item(), variance.item()
        (2.0, 1.0)
    """
    wide = x.astype(promoted(x.dtype, jnp.dtype(jnp.float32)))
    mean = wide.mean(axes, keepdims=True)
    return mean, jnp.square(wide - mean).mean(axes, keepdims=True)


@functools.partial(jax.jit, static_argnames=("axes", "epsilon"), inline=True)
def layer_norm(
    x: Float[Array, "*shape"],
    axes: tuple[int, ...],
    epsilon: float,
    scale: Float[Array, "*normalized"] | None = None,
    shift: Float[Array, "*normalized"] | None = None,
) -> Float[Array, "*shape"]:
    """Normalize over `axes`: (x - E[x]) / sqrt(Var[x] + epsilon) · scale + shift.

    Args:
        x: the input.
        axes: over which mean and variance are taken.
        epsilon: added to the variance.
        scale: factor, of the shape of those axes; default none.
        shift: summand, of the same shape; default none.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> ops.layer_norm(jnp.array([[1.0, 3.0]]), (-1,), 0.0).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba et al., "Layer normalization" (2016).
    """
    wide = widened(x.dtype)
    y = standardized(x.astype(wide), axes, epsilon)
    if scale is not None:
        y = y * scale.astype(wide)
    if shift is not None:
        y = y + shift.astype(wide)
    return y.astype(x.dtype)


def batch_norm(
    x: Float[Array, "*shape"],
    mean: Float[Array, " features"],
    variance: Float[Array, " features"],
    epsilon: float,
    scale: Float[Array, " features"] | None = None,
    shift: Float[Array, " features"] | None = None,
    axis: int = -1,
) -> Float[Array, "*shape"]:
    """Normalize each feature with given statistics.

    Args:
        x: the input.
        mean: of each feature.
        variance: of each feature.
        epsilon: added to the variance.
        scale: factor of each feature; default none.
        shift: summand of each feature; default none.
        axis: of the features; default the last.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> ops.batch_norm(jnp.array([[3.0]]), jnp.array([1.0]), jnp.array([4.0]), 0.0).item()
        1.0

    Reference:
        Ioffe and Szegedy, "Batch normalization" (2015).
    """
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    factor = None if scale is None else scale.reshape(shape)
    summand = None if shift is None else shift.reshape(shape)
    return _normalize(x, mean.reshape(shape), variance.reshape(shape), epsilon, factor, summand)


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


def _normalize(
    x: Float[Array, "*shape"],
    mean: Float[Array, "*#shape"],
    variance: Float[Array, "*#shape"],
    epsilon: float,
    scale: Float[Array, "*features"] | None,
    shift: Float[Array, "*features"] | None,
) -> Float[Array, "*shape"]:
    """(x - mean) / sqrt(variance + epsilon) · scale + shift, computed wide, in the dtype of x."""
    wide = promoted(x.dtype, mean.dtype)
    factor = lax.rsqrt(variance.astype(wide) + jnp.asarray(epsilon, wide))
    if scale is not None:
        factor = factor * scale.astype(wide)
    y = (x.astype(wide) - mean.astype(wide)) * factor
    if shift is not None:
        y = y + shift.astype(wide)
    return y.astype(x.dtype)
