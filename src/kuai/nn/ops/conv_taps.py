"""Convolutions as sums over the elements of the kernel, its taps.

For what XLA has no quick kernel for on a CPU: depthwise, 1 × 1, kernels larger than the input.

A tap sees the input through strides and padding: a slice of it with the output's sizes.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from kuai.nn.ops.conv_geometry import Form, Geometry, flip, transposed


def _seen(x: jax.Array, geometry: Geometry) -> list[jax.Array]:
    """What each tap sees, in the order of the kernel's elements."""
    padded = lax.pad(
        x, jnp.zeros((), x.dtype), [(0, 0, 0), *((a, b, 0) for a, b in geometry.padding), (0, 0, 0)]
    )
    steps = tuple(zip(geometry.outputs, geometry.strides, geometry.dilation, strict=True))
    return [
        padded[
            (
                slice(None),
                *(
                    slice(at * gap, at * gap + (size - 1) * stride + 1, stride)
                    for at, (size, stride, gap) in zip(place, steps, strict=True)
                ),
            )
        ]
        for place in itertools.product(*map(range, geometry.kernel))
    ]


def _pointwise(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """One tap: a matmul of the channels."""
    (seen,) = _seen(x, geometry)
    y = seen.reshape(-1, x.shape[-1]) @ weight.reshape(weight.shape[-2:])
    return y.reshape(x.shape[0], *geometry.outputs, weight.shape[-1])


def _columns(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """What all taps see, side by side, in one matmul."""
    columns = jnp.concatenate(_seen(x, geometry), -1)
    y = columns.reshape(-1, columns.shape[-1]) @ weight.reshape(-1, weight.shape[-1])
    return y.reshape(x.shape[0], *geometry.outputs, weight.shape[-1])


def _depthwise(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """Each channel by kernels of its own: products of vectors of channels, fused into one loop."""
    factors = weight.reshape(geometry.taps, -1)
    seen = _seen(_repeated(x, weight.shape[-1]), geometry)
    products = [tap * factor for tap, factor in zip(seen, factors, strict=True)]
    return sum(products[1:], products[0])


def _depthwise_input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """With one kernel a channel and no strides, as a depthwise convolution itself."""
    if set(geometry.strides) == {1} and weight.shape[-1] == geometry.groups:
        return _depthwise(g, flip(weight, geometry), geometry.flipped())
    return transposed(_depthwise).input_gradient(g, weight, geometry)


def _depthwise_weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    """For each tap, what it sees times g, summed over all places."""
    places = tuple(range(g.ndim - 1))
    seen = _seen(_repeated(x, g.shape[-1]), geometry)
    return jnp.stack([(tap * g).sum(places) for tap in seen]).reshape(*geometry.kernel, 1, -1)


def _repeated(x: jax.Array, outputs: int) -> jax.Array:
    """Every channel as often as it has kernels."""
    times = outputs // x.shape[-1]
    return x if times == 1 else jnp.repeat(x, times, -1)


POINTWISE = transposed(_pointwise)
COLUMNS = transposed(_columns)
DEPTHWISE = Form(_depthwise, _depthwise_input_gradient, _depthwise_weight_gradient)
