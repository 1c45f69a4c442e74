"""Spectral normalization, set on any block from outside."""

from __future__ import annotations

import functools
import math
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.follows import Follows
from kuai.core.modes import is_training
from kuai.core.parameter import Holder, State
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn._check import check_count, check_index, check_number
from kuai.nn._dtypes import promoted, widened
from kuai.nn.parametrization import put_on

AnyBlock = TypeVar("AnyBlock", bound=Block)
_FIRST = 15  # iterations for the initial vectors, as in PyTorch


def spectral_norm(
    block: AnyBlock,
    names: str | tuple[str, ...] = "weight",
    *,
    iterations: int = 1,
    epsilon: float = 1e-12,
    axis: int = -1,
    select: Any = "",
) -> AnyBlock:
    """Hold the largest singular value of parameters at 1: they read as W / σ(W).

    `nn.SpectralNorm` stands beside the parameter and keeps the two singular vectors as State; σ is
    what they estimate. In train mode each call improves them by power iteration; in eval mode they
    stay. No gradient flows through the iteration. Keras moves its one vector likewise.

    Args:
        block: the block or net.
        names: of the parameters; those of fewer than two axes are left alone.
        iterations: of the power method in each training call; default 1.
        epsilon: below which the length of a vector does not count; default 1e-12.
        axis: of the outputs; the others are one axis of the matrix. Default the last (PyTorch's
            `dim=0`, whose weights have the outputs first).
        select: which blocks, as in `net.blocks`; default `block` alone.

    Returns:
        The block.

    Raises:
        ArgumentError: there is no such parameter, or it has a spectral norm; `iterations` is no
            positive integer, epsilon is negative, or `axis` is no integer.
        ShapeError: when called, the parameter has no such axis.
        TransformError: `block.weight` is assigned: W / σ(W) cannot be chosen.

    Example:
        >>> net = nn.spectral_norm(nn.Dense(2)).initialize(sample=jnp.ones((1, 3)))
        >>> round(float(jnp.linalg.norm(net.weight, 2)), 3)
        1.0

    Reference:
        Miyato et al., "Spectral normalization for generative adversarial networks" (2018).
    """
    make = functools.partial(SpectralNorm, iterations, epsilon, axis)
    return put_on(block, names, select, make)


class SpectralNorm(Block):
    """W / σ(W), as `nn.spectral_norm` puts it on a parameter W.

    σ = left · W right, in at least float32.

    Args:
        iterations: of the power method in each training call; default 1.
        epsilon: below which the length of a vector does not count; default 1e-12.
        axis: of the outputs; default the last.

    Shape:
        That of W. `left` (outputs,), `right` (product of the other axes,).

    Raises:
        ArgumentError: `iterations` is no positive integer, epsilon is negative, or `axis` is no
            integer.
        ShapeError: when called, W has no such axis.

    Example:
        >>> net = nn.spectral_norm(nn.Dense(2)).initialize(sample=jnp.ones((1, 3)))
        >>> net.weight_spectral.left.shape, net.weight_spectral.right.shape
        ((2,), (3,))
    """

    left: Any
    right: Any
    _kuai_kind = "spectral"

    def __init__(self, iterations: int = 1, epsilon: float = 1e-12, axis: int = -1) -> None:
        super().__init__()
        self.iterations = check_count("spectral_norm", "iterations", iterations)
        self.epsilon = check_number("spectral_norm", "epsilon", epsilon, math.inf)
        self.axis = check_index("spectral_norm", "axis", axis)

    def _kuai_stand_on(self, _: Block, parameter: Holder) -> None:
        wide = widened(parameter.dtype)
        for place, name in enumerate(("left", "right")):
            first = functools.partial(_first, axis=self.axis, epsilon=self.epsilon, place=place)
            setattr(self, name, State(shape=(None,), init=Follows(parameter, first), dtype=wide))

    def _kuai_wrapped(self, _: Block, name: str) -> tuple[str, list[str]]:
        options = [] if name == "weight" else [repr(name)]
        defaults = {"iterations": 1, "epsilon": 1e-12, "axis": -1}
        shown = {option: getattr(self, option) for option in defaults}
        return "spectral_norm", [
            *options,
            *[f"{key}={value}" for key, value in shown.items() if value != defaults[key]],
        ]

    def infer_shapes(self, weight: Any) -> None:
        """Settle the lengths of the vectors."""
        shape = tuple(weight.shape)
        if not -len(shape) <= self.axis < len(shape):
            raise ShapeError(
                f"{here()}: expected a parameter with an axis {self.axis}, got shape {shape}; "
                "choose another axis"
            )
        outputs = shape[self.axis]
        self.params.left.settle((outputs,))
        self.params.right.settle((math.prod(shape) // outputs if outputs else 0,))

    def forward(self, weight: Any) -> Any:
        """The parameter over its largest singular value; in training the estimate moves."""
        matrix = _matrix(weight, self.axis)
        left, right = (vector.astype(matrix.dtype) for vector in (self.left, self.right))
        if is_training():
            fixed = jax.lax.stop_gradient(matrix)
            left, right = _iterated(fixed, left, right, self.iterations, self.epsilon)
            self.left, self.right = left, right
        sigma = left @ (matrix @ right)
        safe = jnp.where(sigma == 0, jnp.ones_like(sigma), sigma)
        return (weight.astype(matrix.dtype) / safe).astype(weight.dtype)


def _matrix(weight: jax.Array, axis: int) -> jax.Array:
    """(outputs, all else), in at least float32."""
    wide = weight.astype(promoted(weight.dtype, jnp.dtype(jnp.float32)))
    rows = jnp.moveaxis(wide, axis, 0)
    return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def _iterated(
    matrix: jax.Array, left: jax.Array, right: jax.Array, iterations: int, epsilon: float
) -> tuple[jax.Array, jax.Array]:
    """The singular vectors after some steps of the power method."""
    for _ in range(iterations):
        left = _unit(matrix @ right, epsilon)
        right = _unit(matrix.T @ left, epsilon)
    return left, right


def _unit(vector: jax.Array, epsilon: float) -> jax.Array:
    length = jnp.sqrt(jnp.square(vector).sum())
    return vector / jnp.maximum(length, jnp.asarray(epsilon, vector.dtype))


def _first(weight: jax.Array, axis: int, epsilon: float, place: int) -> jax.Array:
    """An initial vector: left is place 0, right 1."""
    matrix = _matrix(weight, axis)
    start = jax.random.normal(jax.random.key(0), matrix.shape[1:], matrix.dtype)
    return _iterated(matrix, matrix @ start, _unit(start, epsilon), _FIRST, epsilon)[place]
