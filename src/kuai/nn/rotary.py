"""Rotary positions, and how they are stretched to longer sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.block import Block
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn import ops
from kuai.nn._check import as_floating, check_count, check_positive
from kuai.nn._dtypes import widened
from kuai.nn.positions import positions_of


@dataclass(frozen=True)
class LinearScaling:
    """Every position counts as `factor` times fewer.

    Args:
        factor: by how much longer sequences become.

    Shape:
        Frequencies (pairs,) → the same.

    Raises:
        ArgumentError: the factor is not positive.

    Example:
        >>> nn.Rotary(scaling=nn.LinearScaling(2.0))
        Rotary(scaling=LinearScaling(factor=2.0))

    Reference:
        Chen et al., "Extending context window of large language models via positional
        interpolation" (2023).
    """

    factor: float

    def __post_init__(self) -> None:
        check_positive("LinearScaling", "factor", self.factor)

    def __call__(self, frequencies: np.ndarray) -> np.ndarray:
        """The frequencies as they are used."""
        return frequencies / self.factor


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow rotations are slowed down by `factor`, fast ones stay, those between are blended.

    Args:
        factor: by how much the slow ones are slowed down; default 8.
        low: a rotation is slow that turns fewer than so many times in `length`; default 1.
        high: and fast if it turns more often than that; default 4.
        length: of the sequences before; default 8192.

    Shape:
        Frequencies (pairs,) → the same.

    Raises:
        ArgumentError: a number is not positive, or `high` is not above `low`.

    Example:
        >>> nn.Rotary(base=500000.0, scaling=nn.Llama3Scaling(factor=32.0)).base
        500000.0

    Reference:
        Grattafiori et al., "The Llama 3 herd of models" (2024); the formula is that of the models'
        published code, "rope_type": "llama3" in their configurations.
    """

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    length: int = 8192

    def __post_init__(self) -> None:
        for name in ("factor", "low", "high", "length"):
            check_positive("Llama3Scaling", name, getattr(self, name))
        if self.high <= self.low:
            raise ArgumentError(
                f"Llama3Scaling: expected high above low, got low={self.low} and high={self.high}; "
                "exchange them"
            )

    def __call__(self, frequencies: np.ndarray) -> np.ndarray:
        """The frequencies as they are used."""
        turns = self.length * frequencies / (2 * math.pi)
        fast = np.clip((turns - self.low) / (self.high - self.low), 0.0, 1.0)
        return frequencies * (fast + (1 - fast) / self.factor)


class Rotary(Block):
    """Turns pairs of features by angles that grow with the position, so that dot products see how
    far apart two positions are: (a, b) → (a cos θ - b sin θ, b cos θ + a sin θ), with
    θ = position · base^(-2i / features) for the i-th pair.

    It stands in `MultiHeadAttention(rotary=...)`, and has no parameters.

    Args:
        base: default 10000.
        interleaved: whether pairs are neighbours, (2i, 2i + 1), as in the paper and GPT-J; default
            False: (i, i + features / 2), as in Llama's and GPT-NeoX's published weights.
        features: how many of the first features are turned; default all.
        scaling: `LinearScaling`, `Llama3Scaling`, or a function of the frequencies (a NumPy array,
            one for each pair); default none.

    Shape:
        (batch, length, heads, width) → the same. Positions: integers, those of the whole input
        (batch, length) or (length,), or only the first one (); default from 0 on.

    Raises:
        ArgumentError: `base` is not positive, or `features` is no positive even number.
        DtypeError: when called, the input is not floating or the positions are not integers.
        ShapeError: when called, the input has no four axes, an odd width, or fewer than `features`;
            or the positions have another shape.

    Example:
        >>> x = jnp.ones((1, 5, 2, 8))
        >>> whole, last = nn.Rotary()(x), nn.Rotary()(x[:, 4:], jnp.array(4))
        >>> bool(jnp.allclose(whole[:, 4:], last))
        True

    Reference:
        Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021).
    """

    def __init__(
        self,
        base: float = 10000.0,
        interleaved: bool = False,
        features: int | None = None,
        scaling: Any = None,
    ) -> None:
        super().__init__()
        self.base = check_positive("Rotary", "base", base)
        self.interleaved = interleaved
        self.features = None if features is None else check_count("Rotary", "features", features)
        if self.features is not None and self.features % 2:
            raise ArgumentError(
                f"Rotary: expected an even number of features, got {features}; they turn in pairs"
            )
        self.scaling = scaling

    def forward(self, x: Any, positions: Any = None) -> Any:
        """The input, turned by its positions."""
        x = as_floating(x)
        features = self._checked_features(x)
        frequencies = self.base ** (-np.arange(0, features, 2) / features)
        if self.scaling is not None:
            frequencies = self.scaling(frequencies)
        angles = self._angles(x, positions, jnp.asarray(frequencies, widened(x.dtype)))
        return ops.rotate(x, angles, self.interleaved)

    def _angles(self, x: jax.Array, positions: Any, frequencies: jax.Array) -> jax.Array:
        """(1 or batch, length, features / 2)."""
        found = positions_of(positions, x.shape[0], x.shape[1])
        return found.astype(frequencies.dtype)[..., None] * frequencies

    def _checked_features(self, x: jax.Array) -> int:
        features = self.features or x.shape[-1]
        if x.ndim != 4 or features % 2 or features > x.shape[-1]:
            least = "an even width" if self.features is None else f"a width of at least {features}"
            raise ShapeError(
                f"{here()}: expected an input (batch, length, heads, width) with {least}, got "
                f"shape {x.shape}; change the width of the heads"
            )
        return features
