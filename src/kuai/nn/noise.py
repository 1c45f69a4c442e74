"""Gaussian noise in training, added or multiplied."""

from __future__ import annotations

import math
from typing import Any

import jax

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.nn._check import as_floating, check_number
from kuai.nn._dtypes import widened


class GaussianNoise(Block):
    """In training, adds noise from the normal distribution of mean 0: y = x + std · n.

    In eval mode, and with a `std` of 0, the input passes as it is.

    Args:
        std: standard deviation of the noise, from 0 up.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `std` is negative.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.GaussianNoise(0.1)(jnp.ones(2))
        Array([1., 1.], dtype=float32)
        >>> with kuai.train_mode():
        ...     bool((nn.GaussianNoise(0.1)(jnp.ones(2)) == 1).any())
        False
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = check_number("GaussianNoise", "std", std, math.inf)

    def forward(self, x: Any) -> Any:
        """The input with noise, or as it is."""
        x = as_floating(x)
        if not is_training() or self.std == 0:
            return x
        return x + _normal(x, 0.0, self.std)


class GaussianDropout(Block):
    """In training, multiplies by noise of mean 1 and variance rate / (1 - rate).

    It is as strong as Dropout of the same rate, and zeroes nothing. In eval mode, and with a rate
    of 0, the input passes as it is.

    Args:
        rate: from 0 up to below 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: `rate` is outside its range.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.GaussianDropout(0.5)(jnp.ones(2))
        Array([1., 1.], dtype=float32)
        >>> with kuai.train_mode():
        ...     bool((nn.GaussianDropout(0.5)(jnp.ones(2)) == 1).any())
        False

    Reference:
        Srivastava et al., "Dropout" (2014), section 10.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_number("GaussianDropout", "rate", rate, 1.0)

    def forward(self, x: Any) -> Any:
        """The input times noise, or as it is."""
        x = as_floating(x)
        if not is_training() or self.rate == 0:
            return x
        return x * _normal(x, 1.0, math.sqrt(self.rate / (1 - self.rate)))


def _normal(x: jax.Array, mean: float, std: float) -> jax.Array:
    """Normal numbers of the shape and dtype of x, drawn in at least float32."""
    return random.normal(x.shape, mean, std, widened(x.dtype)).astype(x.dtype)
