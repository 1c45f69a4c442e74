"""Convolutions by 3 × 3 kernels with 16 products for 4 outputs instead of 36: F(2 × 2, 3 × 3).

The input is cut into tiles d of 4 × 4 that overlap by 2, the output into tiles of 2 × 2. With the
transforms V = Bᵀ d B of the input and U = G w Gᵀ of the kernel, a tile of the output is
Aᵀ (U ⊙ V) A, where the products over channels are 16 matmuls. The weight gradient is the transpose
of the same map in w.

The 16 elements of a tile are 4 stacks, one for each column, of 4 matrices (tiles, channels): every
transform is then a sum of whole stacks, and every product one of stacks. Sixteen single matrices
run no faster and take XLA twice as long to compile.

Sums of four inputs come before the products, which costs about a digit's half: errors are 2 to 3
times those of the direct sum. A NaN or an infinity spreads to the outputs of its tile.

Reference:
    Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.nn.ops.conv_geometry import Form, Geometry, flip

Stacks = list[jax.Array]  # by column of a tile; (row of a tile, tiles, channels)

OF_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # Bᵀ
OF_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # G
OF_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # Aᵀ


def _forward(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    return _convolve(x, weight, geometry, contract=1)


def _input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """The convolution of g by the flipped kernel, whose channels the matmuls swap."""
    return _convolve(g, flip(weight, geometry), geometry.flipped(), contract=2)


def _weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    height, width = geometry.outputs
    padded = _pad(g, ((0, height % 2), (0, width % 2)))
    rows = _once(_sums(OF_OUTPUT.T, [padded[:, i::2] for i in range(2)]))
    gradients = _sums(OF_OUTPUT.T, [_matrices(rows[..., j::2, :]) for j in range(2)])
    products = _products(_of_input(x, geometry), lax.optimization_barrier(gradients), (1, 1))
    columns = [_sums(OF_KERNEL.T, list(stack)) for stack in _sums(OF_KERNEL.T, products)]
    return jnp.stack([jnp.stack(column) for column in columns], 1)


def _convolve(x: jax.Array, weight: jax.Array, geometry: Geometry, contract: int) -> jax.Array:
    """The convolution of x by a kernel that has the inputs on axis `contract` of its matrices."""
    rows = _once(_sums(OF_KERNEL, list(weight)))
    kernels = _sums(OF_KERNEL, [rows[:, j] for j in range(3)])
    products = _products(_of_input(x, geometry), kernels, (2, contract))
    columns = [_sums(OF_OUTPUT, list(stack)) for stack in _sums(OF_OUTPUT, products)]
    return _whole(columns, len(x), geometry)


def _whole(columns: list[list[jax.Array]], batch: int, geometry: Geometry) -> jax.Array:
    """The output from its tiles, given as columns[j][i] (tiles, channels)."""
    (rows, across), (height, width) = _tiles(geometry), geometry.outputs
    tiles = [[y.reshape(batch, rows, across, -1) for y in column] for column in columns]
    whole = jnp.stack([jnp.stack(row, 3) for row in zip(*tiles, strict=True)], 2)
    return whole.reshape(batch, 2 * rows, 2 * across, -1)[:, :height, :width]


def _of_input(x: jax.Array, geometry: Geometry) -> Stacks:
    """V of all tiles. Beyond the padding more zeros make odd outputs even."""
    rows, across = _tiles(geometry)
    (top, _), (left, _) = geometry.padding
    height, width = geometry.sizes
    bottom, right = 2 * rows + 2 - height - top, 2 * across + 2 - width - left
    padded = _pad(x, ((top, bottom), (left, right)))
    transformed = _once(_sums(OF_INPUT, [padded[:, i : i + 2 * rows - 1 : 2] for i in range(4)]))
    columns = [transformed[..., j : j + 2 * across - 1 : 2, :] for j in range(4)]
    return _sums(OF_INPUT, [_matrices(column) for column in columns])


def _tiles(geometry: Geometry) -> tuple[int, int]:
    height, width = geometry.outputs
    return -(-height // 2), -(-width // 2)


def _pad(x: jax.Array, pairs: tuple[tuple[int, int], tuple[int, int]]) -> jax.Array:
    config = [(0, 0, 0), *((low, high, 0) for low, high in pairs), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _matrices(stack: jax.Array) -> jax.Array:
    return stack.reshape(len(stack), -1, stack.shape[-1])


def _once(rows: Stacks) -> jax.Array:
    """A stack that is computed once: XLA would compute it anew in all that reads it."""
    return lax.optimization_barrier(jnp.stack(rows))


def _products(left: Stacks, right: Stacks, contract: tuple[int, int]) -> Stacks:
    numbers = ((contract[:1], contract[1:]), ((0,), (0,)))
    return [lax.dot_general(a, b, numbers) for a, b in zip(left, right, strict=True)]


def _sums(factors: np.ndarray, terms: Stacks) -> Stacks:
    """For each row of factors, Σ factor · term."""
    return [_sum(row.tolist(), terms) for row in factors]


def _sum(factors: list[float], terms: Stacks) -> jax.Array:
    """Without the products by 0, 1 and -1."""
    pairs = zip(factors, terms, strict=True)
    parts = [_scaled(factor, term) for factor, term in pairs if factor]
    return sum(parts[1:], parts[0])


def _scaled(factor: float, term: jax.Array) -> jax.Array:
    if factor == 1:
        return term
    return -term if factor == -1 else factor * term


WINOGRAD = Form(_forward, _input_gradient, _weight_gradient)
