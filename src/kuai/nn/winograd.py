"""Convolutions by 3 × 3 kernels with 16 products for 4 outputs instead of 36: F(2 × 2, 3 × 3).

The input is cut into tiles d of 4 × 4 that overlap by 2, the output into tiles of 2 × 2. With the
transforms V = Bᵀ d B of the input and U = G w Gᵀ of the kernel, a tile of the output is
Aᵀ (U ⊙ V) A, where the products over channels are 16 matmuls. The weight gradient is the transpose
of the same map in w. V is 16 matrices (tiles, channels), one for each element of a tile, so that
every transform is a sum of whole matrices.

Sums of four inputs come before the products, which costs about a digit's half: errors are 2 to 3
times those of the direct sum. A NaN or an infinity spreads to the outputs of its tile.

Reference:
    Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.nn.conv_geometry import Form, Geometry, flip

Grid = list[list[jax.Array]]  # by row and column of a tile

OF_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # Bᵀ
OF_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # G
OF_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # Aᵀ


def _forward(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    return _convolve(x, [list(row) for row in weight], geometry, contract=0)


def _input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """The convolution of g by the flipped kernel, whose channels the matmuls swap."""
    turned = [list(row) for row in flip(weight, geometry)]
    return _convolve(g, turned, geometry.flipped(), contract=1)


def _weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    values = _of_input(x, geometry)
    height, width = geometry.outputs
    padded = _pad(g, ((0, height % 2), (0, width % 2)))
    rows = lax.optimization_barrier(
        [_sum(row, [padded[:, i::2] for i in range(2)]) for row in OF_OUTPUT.T]
    )
    gradients = [
        [_matrix(_sum(column, [row[:, :, j::2] for j in range(2)])) for column in OF_OUTPUT.T]
        for row in rows
    ]
    products = _products(values, _held(gradients), contract=(0, 0))
    return jnp.stack([jnp.stack(row) for row in _transformed(OF_KERNEL.T, products)])


def _convolve(x: jax.Array, kernel: Grid, geometry: Geometry, contract: int) -> jax.Array:
    """The convolution by a kernel of matrices, whose axis `contract` is that of the input."""
    height, width = geometry.outputs
    products = _products(
        _of_input(x, geometry), _transformed(OF_KERNEL, kernel), contract=(1, contract)
    )
    tiles = x.shape[0], *_tiles(geometry), -1
    found = [[y.reshape(tiles) for y in row] for row in _transformed(OF_OUTPUT, products)]
    whole = jnp.stack([jnp.stack(row, 3) for row in found], 2)
    batch, rows, _, columns, _, channels = whole.shape
    return whole.reshape(batch, 2 * rows, 2 * columns, channels)[:, :height, :width]


def _of_input(x: jax.Array, geometry: Geometry) -> Grid:
    """V, rows of tiles first; held back from being computed anew for each matrix of the 16."""
    rows, columns = _tiles(geometry)
    (top, _), (left, _) = geometry.padding
    height, width = geometry.sizes
    padded = _pad(x, ((top, 2 * rows + 2 - height - top), (left, 2 * columns + 2 - width - left)))
    lines = [padded[:, i : i + 2 * rows - 1 : 2] for i in range(4)]
    across = lax.optimization_barrier([_sum(row, lines) for row in OF_INPUT])
    return [
        [
            _matrix(_sum(column, [row[:, :, j : j + 2 * columns - 1 : 2] for j in range(4)]))
            for column in OF_INPUT
        ]
        for row in across
    ]


def _tiles(geometry: Geometry) -> tuple[int, int]:
    height, width = geometry.outputs
    return -(-height // 2), -(-width // 2)


def _pad(x: jax.Array, pairs: tuple[tuple[int, int], tuple[int, int]]) -> jax.Array:
    config = [(0, 0, 0), *((low, high, 0) for low, high in pairs), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _matrix(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _products(left: Grid, right: Grid, contract: tuple[int, int]) -> Grid:
    numbers = ((contract[:1], contract[1:]), ((), ()))
    return [
        [lax.dot_general(a, b, numbers) for a, b in zip(*pair, strict=True)]
        for pair in zip(left, right, strict=True)
    ]


def _transformed(matrix: np.ndarray, grid: Grid) -> Grid:
    """M grid Mᵀ."""
    columns = [[_sum(row, column) for row in matrix] for column in zip(*grid, strict=True)]
    return [[_sum(row, line) for row in matrix] for line in zip(*columns, strict=True)]


def _sum(factors: np.ndarray, terms: Sequence[jax.Array]) -> jax.Array:
    """Σ factor · term, without the products by 0, 1 and -1."""
    pairs = zip(factors.tolist(), terms, strict=True)
    parts = [_scaled(factor, term) for factor, term in pairs if factor]
    return sum(parts[1:], parts[0])


def _scaled(factor: float, term: jax.Array) -> jax.Array:
    if factor == 1:
        return term
    return -term if factor == -1 else factor * term


def _held(grid: Grid) -> Grid:
    """The same matrices, computed once each: XLA would fuse a transform into all that reads it."""
    return lax.optimization_barrier(grid)


WINOGRAD = Form(_forward, _input_gradient, _weight_gradient)
