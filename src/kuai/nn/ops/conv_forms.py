"""A convolution that keeps up: JAX's own, but on a CPU computed in the form that is quickest there.

The room behind it: `conv_geometry` says what the three products of a convolution have in common,
`conv_direct`, `conv_taps`, `conv_grouped` and `winograd` are forms of them, `conv_choice` chooses
among these on a CPU, and `conv_primitives` makes JAX differentiate, batch and lower them.
"""

from __future__ import annotations

from functools import partial

import jax

from kuai.nn.ops import conv_primitives
from kuai.nn.ops.conv_geometry import Geometry, by_jax

Pairs = tuple[tuple[int, int], ...]


def convolve(
    x: jax.Array,
    weight: jax.Array,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """y[o] = Σ over k of x[o · stride + k · dilation - low] W[k], over one to three spatial axes.

    To rounding it is what `jax.lax.conv_general_dilated` gives, in all dtypes, and differentiates
    in any order and mode. On a CPU a NaN or an infinity in x may spread to outputs beside those
    that it belongs to: to neighbours in space, and to groups that are computed together.

    Args:
        x: the input, channels last.
        weight: the kernels.
        strides: from one place of the kernel to the next, for each axis.
        padding: zeros (before, after) for each axis; numbers below 0 cut off.
        dilation: from one element of the kernel to the next, for each axis.
        groups: parts that the channels are split into.

    Shape:
        x (batch, *sizes, inputs), weight (*kernel, inputs / groups, outputs) →
        (batch, *sizes, outputs)

    Raises:
        TypeError, ValueError: those of `jax.lax.conv_general_dilated`, for shapes and dtypes that
            do not fit.

    Example:
        >>> x = jnp.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
        >>> convolve(x, jnp.ones((2, 1, 1)), (1,), ((0, 0),), (1,), 1).ravel().tolist()
        [3.0, 6.0]

    Reference:
        docs/decisions/0018-convolutions-on-cpu.md: which form where, and the figures.
    """
    geometry = Geometry(x.shape[1:-1], weight.shape[:-2], strides, padding, dilation, groups)
    jax.eval_shape(partial(by_jax, geometry=geometry), x, weight)
    return conv_primitives.forward(x, weight, geometry)


def convolve_back(
    y: jax.Array,
    weight: jax.Array,
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """The transpose of `convolve` as a linear map of x: what transposed convolutions are.

    Args:
        y: of the shape that `convolve` gives.
        weight: the kernels, as `convolve` takes them.
        sizes: spatial sizes of the result.
        strides: as for `convolve`.
        padding: as for `convolve`.
        dilation: as for `convolve`.
        groups: as for `convolve`.

    Shape:
        y (batch, *places, outputs), weight (*kernel, inputs / groups, outputs) →
        (batch, *sizes, inputs)

    Raises:
        TypeError, ValueError: `convolve` would not give the shape of y, or not take the weight.

    Example:
        >>> y = jnp.array([1.0, 2.0]).reshape(1, 2, 1)
        >>> convolve_back(y, jnp.ones((2, 1, 1)), (3,), (1,), ((0, 0),), (1,), 1).ravel().tolist()
        [1.0, 3.0, 2.0]
    """
    geometry = Geometry(sizes, weight.shape[:-2], strides, padding, dilation, groups)
    like = jax.ShapeDtypeStruct((len(y), *sizes, weight.shape[-2] * groups), y.dtype)
    expected = jax.eval_shape(partial(by_jax, geometry=geometry), like, weight)
    if y.shape != expected.shape:
        raise TypeError(
            f"convolve_back: expected y of shape {expected.shape} for sizes {sizes}, got "
            f"{y.shape}; choose sizes that the convolution takes to y's"
        )
    return conv_primitives.input_gradient(y, weight, geometry)
