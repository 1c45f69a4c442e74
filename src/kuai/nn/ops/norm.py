"""The arithmetic of the norms as pure functions; `kuai.nn.ops` re-exports them.

Statistics are taken in at least float32; the results have the dtype of x.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.nn._dtypes import promoted, widened
from kuai.nn.ops.standardized import standardized

if TYPE_CHECKING:
    from jaxtyping import Float


def moments(
    x: Float[jax.Array, "*shape"], axes: tuple[int, ...]
) -> tuple[Float[jax.Array, "*reduced"], Float[jax.Array, "*reduced"]]:
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
    wide = x.astype(widened(x.dtype))
    mean = wide.mean(axes, keepdims=True)
    return mean, jnp.square(wide - mean).mean(axes, keepdims=True)


@functools.partial(jax.jit, static_argnames=("axes", "epsilon"), inline=True)
def layer_norm(
    x: Float[jax.Array, "*shape"],
    axes: tuple[int, ...],
    epsilon: float,
    scale: Float[jax.Array, "*normalized"] | None = None,
    shift: Float[jax.Array, "*normalized"] | None = None,
) -> Float[jax.Array, "*shape"]:
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
    x: Float[jax.Array, "*shape"],
    mean: Float[jax.Array, " features"],
    variance: Float[jax.Array, " features"],
    epsilon: float,
    scale: Float[jax.Array, " features"] | None = None,
    shift: Float[jax.Array, " features"] | None = None,
    axis: int = -1,
) -> Float[jax.Array, "*shape"]:
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


def group_norm(
    x: Float[jax.Array, "*shape"],
    groups: int,
    epsilon: float,
    scale: Float[jax.Array, " features"] | None = None,
    shift: Float[jax.Array, " features"] | None = None,
    axis: int = -1,
) -> Float[jax.Array, "*shape"]:
    """Normalize groups of features of each example: (x - E[x]) / sqrt(Var[x] + epsilon).

    Mean and variance are those of a group's features at all places; the first axis is the batch.

    Args:
        x: the input.
        groups: into how many groups of neighbours the features are parted.
        epsilon: added to the variance.
        scale: factor of each feature; default none.
        shift: summand of each feature; default none.
        axis: of the features; default the last.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> ops.group_norm(jnp.array([[1.0, 3.0, 5.0, 5.0]]), 2, 1e-5).round(3).tolist()
        [[-1.0, 1.0, 0.0, 0.0]]

    Reference:
        Wu and He, "Group normalization" (2018).
    """
    axis %= x.ndim
    width = x.shape[axis] // max(groups, 1)  # of no features, there are no groups
    parted = x.reshape(*x.shape[:axis], groups, width, *x.shape[axis + 1 :])
    mean, variance = moments(parted, tuple(n for n in range(1, parted.ndim) if n != axis))
    shape = [1] * parted.ndim
    shape[axis : axis + 2] = groups, width
    factor = None if scale is None else scale.reshape(shape)
    summand = None if shift is None else shift.reshape(shape)
    return _normalize(parted, mean, variance, epsilon, factor, summand).reshape(x.shape)


def rms_norm(
    x: Float[jax.Array, "*shape"],
    axes: tuple[int, ...],
    epsilon: float | None = None,
    scale: Float[jax.Array, "*normalized"] | None = None,
) -> Float[jax.Array, "*shape"]:
    """Divide by the root mean square over `axes`: x / sqrt(E[x²] + epsilon) · scale.

    Args:
        x: the input.
        axes: over which the mean is taken.
        epsilon: added to the mean square; None (the default): the machine epsilon of the dtype that
            the mean is taken in.
        scale: factor, of the shape of those axes; default none.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> ops.rms_norm(jnp.array([[1.0, 7.0]]), (-1,)).round(1)
        Array([[0.2, 1.4]], dtype=float32)

    Reference:
        Zhang and Sennrich, "Root mean square layer normalization" (2019).
    """
    wide = x.astype(widened(x.dtype))
    added = jnp.finfo(wide.dtype).eps if epsilon is None else epsilon
    factor = lax.rsqrt(jnp.square(wide).mean(axes, keepdims=True) + jnp.asarray(added, wide.dtype))
    if scale is not None:
        factor = factor * scale.astype(wide.dtype)
    return (wide * factor).astype(x.dtype)


def local_response_norm(
    x: Float[jax.Array, "*shape"],
    size: int,
    alpha: float,
    beta: float,
    k: float,
    axis: int = -1,
) -> Float[jax.Array, "*shape"]:
    """Divide by the strength of the neighbours: x / (k + alpha · mean of their squares)^beta.

    Args:
        x: the input.
        size: of the window of features around each; what lies beyond the edge counts as 0.
        alpha: factor of the mean of squares in the window.
        beta: exponent.
        k: summand.
        axis: of the features; default the last.

    Shape:
        That of x, in its dtype.

    Example:
        >>> from kuai.nn import ops
        >>> ops.local_response_norm(jnp.array([[2.0, 0.0]]), 2, 1.0, 1.0, 0.0).tolist()
        [[1.0, 0.0]]

    Reference:
        Krizhevsky et al., "ImageNet classification with deep convolutional networks" (2012).
    """
    wide = x.astype(widened(x.dtype))
    window, padding = [1] * x.ndim, [(0, 0)] * x.ndim
    window[axis], padding[axis] = size, (size // 2, (size - 1) // 2)
    # A zero of NumPy's: JAX differentiates a sum over windows only where it knows that it is one.
    zero, steps = np.zeros((), wide.dtype), (1,) * x.ndim
    total = lax.reduce_window(jnp.square(wide), zero, lax.add, tuple(window), steps, padding)
    return (wide * (k + alpha / size * total) ** -beta).astype(x.dtype)


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
