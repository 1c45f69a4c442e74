"""Activations as blocks: those that are near the identity for large inputs."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kuai.core.block import Block
from kuai.nn import functions
from kuai.nn._check import as_floating
from kuai.nn._dtypes import widened


class ReLU(Block):
    """max(x, 0).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.ReLU()(jnp.array([-1.0, 2.0]))
        Array([0., 2.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        """The positive part."""
        return jax.nn.relu(as_floating(x))


class ReLU6(Block):
    """min(max(x, 0), 6).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.ReLU6()(jnp.array([-1.0, 2.0, 9.0]))
        Array([0., 2., 6.], dtype=float32)

    Reference:
        Howard et al., "MobileNets" (2017).
    """

    def forward(self, x: Any) -> Any:
        """The positive part, cut off at 6."""
        return jax.nn.relu6(as_floating(x))


class LeakyReLU(Block):
    """x where x > 0, negative_slope · x elsewhere.

    Args:
        negative_slope: default 0.01, as in PyTorch and Paddle. Keras has 0.3.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.LeakyReLU(0.5)(jnp.array([-2.0, 2.0]))
        Array([-1.,  2.], dtype=float32)

    Reference:
        Maas et al., "Rectifier nonlinearities improve acoustic models" (2013).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """The positive part, and a little of the negative."""
        return jax.nn.leaky_relu(as_floating(x), self.negative_slope)


class ELU(Block):
    """x where x > 0, alpha · (exp(x) - 1) elsewhere.

    Args:
        alpha: default 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.ELU()(jnp.array(2.0)).item()
        2.0

    Reference:
        Clevert et al., "Exponential linear units" (2015).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """The exponential linear unit."""
        return jax.nn.elu(as_floating(x), self.alpha)


class CELU(Block):
    """x where x > 0, alpha · (exp(x / alpha) - 1) elsewhere.

    Args:
        alpha: default 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.CELU()(jnp.array(2.0)).item()
        2.0

    Reference:
        Barron, "Continuously differentiable exponential linear units" (2017).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """The continuously differentiable exponential linear unit."""
        return jax.nn.celu(as_floating(x), self.alpha)


class SELU(Block):
    """1.0507 · x where x > 0, 1.0507 · 1.6733 · (exp(x) - 1) elsewhere: keeps mean 0, variance 1.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SELU()(jnp.array(0.0)).item()
        0.0

    Reference:
        Klambauer et al., "Self-normalizing neural networks" (2017).
    """

    def forward(self, x: Any) -> Any:
        """The scaled exponential linear unit."""
        return jax.nn.selu(as_floating(x))


class GELU(Block):
    """x · Φ(x), with Φ the normal distribution function.

    Args:
        approximate: use the tanh formula, x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2; default
            True, as in JAX. PyTorch, Keras, Gluon and Paddle take the exact one by default.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.GELU()(jnp.array(0.0)).item()
        0.0

    Reference:
        Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """

    def __init__(self, approximate: bool = True) -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """The Gaussian error linear unit."""
        x = as_floating(x)
        return jax.nn.gelu(x) if self.approximate else _exact_gelu(x)


@jax.jit
def _exact_gelu(x: jax.Array) -> jax.Array:
    """By erf, of which XLA's CPU backend has a fast form; JAX's own takes erfc, which has none."""
    wide = x.astype(widened(x.dtype))
    half = jnp.asarray(0.5, wide.dtype)
    y = wide * (half + half * lax.erf(wide * jnp.asarray(math.sqrt(0.5), wide.dtype)))
    return y.astype(x.dtype)


class SiLU(Block):
    """x · sigmoid(x), also called swish.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.SiLU()(jnp.array(0.0)).item()
        0.0

    Reference:
        Elfwing et al., "Sigmoid-weighted linear units" (2017).
    """

    def forward(self, x: Any) -> Any:
        """The input, weighted by its sigmoid."""
        return jax.nn.silu(as_floating(x))


class HardSiLU(Block):
    """x · min(max(x + 3, 0), 6) / 6, also called hard swish.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.HardSiLU()(jnp.array([-4.0, 0.0, 4.0])).tolist()
        [-0.0, 0.0, 4.0]

    Reference:
        Howard et al., "Searching for MobileNetV3" (2019).
    """

    def forward(self, x: Any) -> Any:
        """The input, weighted by its hard sigmoid."""
        return jax.nn.hard_silu(as_floating(x))


class Mish(Block):
    """x · tanh(softplus(x)).

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Mish()(jnp.array(0.0)).item()
        0.0

    Reference:
        Misra, "Mish: a self regularized non-monotonic activation function" (2019).
    """

    def forward(self, x: Any) -> Any:
        """The input, weighted by the tanh of its softplus."""
        return jax.nn.mish(as_floating(x))


class QuickGELU(Block):
    """x · sigmoid(1.702 x), which is close to GELU: the one of CLIP.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.QuickGELU()(jnp.array(0.0)).item()
        0.0

    Reference:
        Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """

    def forward(self, x: Any) -> Any:
        """The input, weighted by the sigmoid of 1.702 times it."""
        return functions.quick_gelu(as_floating(x))
