"""Convolutions in groups as several without groups.

XLA's own are slow on a CPU, the gradients of the kernels by two orders of magnitude. Narrow groups
are joined until a block is as wide as XLA's kernels like it: its kernel has those of the groups on
its diagonal, and zeros beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kuai.nn.ops.conv_geometry import Form, Geometry

WIDE = 32  # channels of a block
MOST_BLOCKS = 16


class Blocks(NamedTuple):
    """How groups are joined.

    Attributes:
        number: of the blocks.
        joined: groups in each.
        geometry: of the convolution of one block.
    """

    number: int
    joined: int
    geometry: Geometry


def in_blocks(dense: Form) -> Form:
    """The form for geometries with groups, from one for those without."""

    def forward(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
        blocks = _blocks(geometry, weight.shape[-2])
        return _joined(dense.forward, blocks, _split(x, blocks), _wide(weight, blocks))

    def input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
        blocks = _blocks(geometry, weight.shape[-2])
        return _joined(dense.input_gradient, blocks, _split(g, blocks), _wide(weight, blocks))

    def weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
        inputs = x.shape[-1] // geometry.groups
        blocks = _blocks(geometry, inputs)
        found = _joined(dense.weight_gradient, blocks, _split(x, blocks), _split(g, blocks))
        like = jax.ShapeDtypeStruct((*geometry.kernel, inputs, g.shape[-1]), g.dtype)
        widen = jax.linear_transpose(lambda w: jnp.concatenate(_wide(w, blocks), -1), like)
        return widen(found)[0]

    return Form(forward, input_gradient, weight_gradient)


def _blocks(geometry: Geometry, inputs: int) -> Blocks:
    """As few groups in a block as make it wide and the blocks not too many."""
    groups = geometry.groups
    fitting = (
        joined
        for joined in range(1, groups + 1)
        if groups % joined == 0 and joined * inputs >= WIDE and groups // joined <= MOST_BLOCKS
    )
    joined = next(fitting, groups)
    return Blocks(groups // joined, joined, replace(geometry, groups=1))


def _split(x: jax.Array, blocks: Blocks) -> list[jax.Array]:
    return jnp.split(x, blocks.number, -1)


def _wide(weight: jax.Array, blocks: Blocks) -> list[jax.Array]:
    """For each block the kernels of its groups, on the diagonal of one for all its channels."""
    *kernel, inputs, outputs = weight.shape
    joined, number = blocks.joined, blocks.number
    split = weight.reshape(*kernel, 1, inputs, number, joined, outputs // (number * joined))
    diagonal = jnp.eye(joined, dtype=bool)[:, None, None, :, None]
    whole = jnp.where(diagonal, split, jnp.zeros((), weight.dtype))
    return jnp.split(whole.reshape(*kernel, joined * inputs, outputs), number, -1)


def _joined(
    product: Callable[[jax.Array, jax.Array, Geometry], jax.Array],
    blocks: Blocks,
    left: list[jax.Array],
    right: list[jax.Array],
) -> jax.Array:
    pairs = zip(left, right, strict=True)
    return jnp.concatenate([product(a, b, blocks.geometry) for a, b in pairs], -1)
