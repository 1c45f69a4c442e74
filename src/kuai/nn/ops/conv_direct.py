"""Convolutions as XLA's own, in the one order of axes that is quick everywhere on a CPU.

XLA rewrites a convolution to that order (batch first, channels last, kernel in space first) where
it stands in the program's main computation, but not where it stands in the body of a loop or in a
branch. The gradients that JAX derives have other orders, and inside a loop they fall to a plain
nest of loops on one thread, up to 50 times slower. Written in that order they are as quick there as
outside, and nobody has to know whether there is a loop around.
"""

from __future__ import annotations

import jax

from kuai.nn.ops.conv_geometry import Form, Geometry, by_jax, convolved, flip


def _input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """g, with gaps where strides were, by the flipped kernel."""
    return convolved(
        g,
        flip(weight, geometry).swapaxes(-1, -2),
        geometry,
        (1,) * geometry.axes,
        [
            (extent - 1 - low, size + low - spread)
            for size, extent, (low, _), spread in zip(
                geometry.sizes, geometry.extents, geometry.padding, _spread(geometry), strict=True
            )
        ],
        spread=geometry.strides,
    )


def _weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    """The input by g as kernel, with batch and channels in each other's place."""
    space = tuple(range(1, geometry.axes + 1))
    found = convolved(
        x.transpose(-1, *space, 0),
        g.transpose(*space, 0, -1),
        geometry,
        geometry.dilation,
        [
            (low, spread + extent - 1 - size - low)
            for size, extent, (low, _), spread in zip(
                geometry.sizes, geometry.extents, geometry.padding, _spread(geometry), strict=True
            )
        ],
        dilation=geometry.strides,
    )
    return found.transpose(*space, 0, -1)


def _spread(geometry: Geometry) -> list[int]:
    """The sizes of the output with its strides between: from the first place to the last."""
    pairs = zip(geometry.outputs, geometry.strides, strict=True)
    return [(size - 1) * stride + 1 for size, stride in pairs]


DIRECT = Form(by_jax, _input_gradient, _weight_gradient)
