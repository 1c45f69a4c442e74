"""The layers' arithmetic as pure functions of arrays: no blocks, no state, no modes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

__all__ = ["batch_norm", "dense", "dropout", "embedding", "layer_norm", "moments"]


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
        x (..., inputs), weight (inputs, units), bias (units,) → (..., units)

    Example:
        >>> from kuai.nn import ops
        >>> ops.dense(jnp.ones((1, 2)), jnp.ones((2, 3))).tolist()
        [[2.0, 2.0, 2.0]]
    """
    dtype = jnp.promote_types(x.dtype, weight.dtype)
    flat = x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x
    y = flat.astype(dtype) @ weight.astype(dtype)
    if bias is not None:
        y = y + bias.astype(dtype)
    return y.reshape(*x.shape[:-1], weight.shape[-1]) if x.ndim > 2 else y


def dropout(
    x: Float[Array, "..."], keep: Bool[Array, "..."], rate: float
) -> Float[Array, "..."]:
    """Zero where `keep` is False and scale the rest by 1 / (1 - rate).

    Args:
        x: the input.
        keep: mask that broadcasts to x.
        rate: the probability with which the mask is False.

    Example:
        >>> from kuai.nn import ops
        >>> ops.dropout(jnp.ones(2), jnp.array([True, False]), 0.5)
        Array([2., 0.], dtype=float32)
    """
    return jnp.where(keep, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros((), x.dtype))


def moments(
    x: Float[Array, "..."], axes: tuple[int, ...]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Mean and biased variance over `axes`, kept as axes of size 1, in at least float32.

    Example:
        >>> from kuai.nn import ops
        >>> mean, variance = ops.moments(jnp.array([[1.0, 3.0]]), (1,))
        >>> mean.item(), variance.item()
        (2.0, 1.0)
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = wide.mean(axes, keepdims=True)
    return mean, jnp.square(wide - mean).mean(axes, keepdims=True)


def normalize(
    x: Float[Array, "..."],
    mean: Float[Array, "..."],
    variance: Float[Array, "..."],
    epsilon: float,
    scale: Float[Array, "..."] | None = None,
    shift: Float[Array, "..."] | None = None,
) -> Float[Array, "..."]:
    """(x - mean) / sqrt(variance + epsilon) · scale + shift, in the dtype of x.

    Args:
        x: the input.
        mean, variance: broadcast to x.
        epsilon: added to the variance.
        scale, shift: broadcast to x; default none.
    """
    wide = jnp.promote_types(x.dtype, mean.dtype)
    factor = lax.rsqrt(variance.astype(wide) + jnp.asarray(epsilon, wide))
    if scale is not None:
        factor = factor * scale.astype(wide)
    y = (x.astype(wide) - mean.astype(wide)) * factor
    if shift is not None:
        y = y + shift.astype(wide)
    return y.astype(x.dtype)


def layer_norm(
    x: Float[Array, "..."],
    axes: tuple[int, ...],
    epsilon: float,
    scale: Float[Array, "..."] | None = None,
    shift: Float[Array, "..."] | None = None,
) -> Float[Array, "..."]:
    """Normalize over `axes`: (x - E[x]) / sqrt(Var[x] + epsilon) · scale + shift.

    Args:
        x: the input.
        axes: over which mean and variance are taken.
        epsilon: added to the variance.
        scale, shift: of the shape of those axes; default none.

    Example:
        >>> from kuai.nn import ops
        >>> ops.layer_norm(jnp.array([[1.0, 3.0]]), (-1,), 0.0).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba et al., "Layer normalization" (2016).
    """
    mean, variance = moments(x, axes)
    return normalize(x, mean, variance, epsilon, scale, shift)


def batch_norm(
    x: Float[Array, "..."],
    mean: Float[Array, " features"],
    variance: Float[Array, " features"],
    epsilon: float,
    scale: Float[Array, " features"] | None = None,
    shift: Float[Array, " features"] | None = None,
    axis: int = -1,
) -> Float[Array, "..."]:
    """Normalize each feature with given statistics.

    Args:
        x: the input.
        mean, variance: of each feature.
        epsilon: added to the variance.
        scale, shift: of each feature; default none.
        axis: of the features; default the last.

    Example:
        >>> from kuai.nn import ops
        >>> ops.batch_norm(jnp.array([[3.0]]), jnp.array([1.0]), jnp.array([4.0]), 0.0).item()
        1.0

    Reference:
        Ioffe and Szegedy, "Batch normalization" (2015).
    """
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    parts = [None if p is None else p.reshape(shape) for p in (mean, variance, scale, shift)]
    return normalize(x, parts[0], parts[1], epsilon, parts[2], parts[3])  # type: ignore[arg-type]


def embedding(
    indices: Int[Array, "*batch"], table: Float[Array, "size features"]
) -> Float[Array, "*batch features"]:
    """The rows of `table` at `indices`; an index out of range gives NaN.

    Args:
        indices: from 0 to size - 1; negative ones count from the end.
        table: one row for each index.

    Example:
        >>> from kuai.nn import ops
        >>> ops.embedding(jnp.array([1]), jnp.array([[0.0], [5.0]])).tolist()
        [[5.0]]
    """
    return jnp.take(table, indices, axis=0, mode="fill", fill_value=jnp.nan)


def keep_mask(key: Key[Array, ""], rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """A mask that is False with probability `rate`."""
    return jax.random.bernoulli(key, 1 - rate, shape)
