"""Activations as blocks: the smooth positive parts."""

from __future__ import annotations

from typing import Any

import jax

from kuai.core.block import Block
from kuai.errors import ArgumentError
from kuai.nn._check import as_floating


class Softplus(Block):
    """log(1 + exp(beta · x)) / beta.

    Args:
        beta: how sharp the bend is; default 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `beta` is not above 0; when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> round(nn.Softplus()(jnp.array(0.0)).item(), 3)
        0.693
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta > 0:
            raise ArgumentError(
                f"Softplus: expected beta above 0, got {beta!r}; write for example beta=1.0"
            )
        self.beta = beta

    def forward(self, x: Any) -> Any:
        """The smooth positive part."""
        return jax.nn.softplus(self.beta * as_floating(x)) / self.beta


class Squareplus(Block):
    """(x + sqrt(x² + b)) / 2: softplus without exponentials.

    Args:
        b: how round the bend is; default 4.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Squareplus()(jnp.array(0.0)).item()
        1.0

    Reference:
        Barron, "Squareplus: a softplus-like algebraic rectifier" (2021).
    """

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = b

    def forward(self, x: Any) -> Any:
        """The smooth positive part."""
        return jax.nn.squareplus(as_floating(x), self.b)


class SparsePlus(Block):
    """0 where x ≤ -1, x where x ≥ 1, (x + 1)² / 4 between.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SparsePlus()(jnp.array([-2.0, 0.0, 2.0])).tolist()
        [0.0, 0.25, 2.0]
    """

    def forward(self, x: Any) -> Any:
        """The smooth positive part, exactly 0 for small inputs."""
        return jax.nn.sparse_plus(as_floating(x))
