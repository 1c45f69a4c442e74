"""Initializers, thin over `jax.nn.initializers`: a function (key, shape, dtype) → array.

Variance-scaling initializers take the last axis of a shape as outputs and the one before it as
inputs, as kuai's layers store their weights.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from kuai.errors import ArgumentError, DtypeError

__all__ = ["Initializer", "constant", "get", "glorot_normal", "glorot_uniform", "he_normal",
           "he_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
           "truncated_normal", "uniform", "zeros"]  # fmt: skip

InitFunction = Callable[[jax.Array, tuple[int, ...], Any], jax.Array]
InitLike = "str | float | InitFunction | Initializer"


def _uniform(low: float, high: float) -> InitFunction:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, low, high)


def _normal(mean: float, std: float) -> InitFunction:
    return lambda key, shape, dtype: (
        jax.random.normal(key, shape, dtype) * jnp.asarray(std, dtype) + jnp.asarray(mean, dtype)
    )


def _orthogonal(scale: float) -> InitFunction:
    make = initializers.orthogonal(scale)

    def run(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        wide = jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype  # no QR in half precision
        return make(key, shape, wide).astype(dtype)

    return run


def _constant(value: float) -> InitFunction:
    return lambda _key, shape, dtype: jnp.full(shape, value, dtype)


_FACTORIES: dict[str, Callable[..., Any]] = {
    "zeros": lambda: initializers.zeros,
    "ones": lambda: initializers.ones,
    "constant": _constant,
    "uniform": _uniform,
    "normal": _normal,
    "truncated_normal": initializers.truncated_normal,
    "orthogonal": _orthogonal,
    "glorot_uniform": initializers.glorot_uniform,
    "glorot_normal": initializers.glorot_normal,
    "he_uniform": initializers.he_uniform,
    "he_normal": initializers.he_normal,
    "lecun_uniform": initializers.lecun_uniform,
    "lecun_normal": initializers.lecun_normal,
}
_ALIASES = {"xavier_uniform": "glorot_uniform", "xavier_normal": "glorot_normal",
            "kaiming_uniform": "he_uniform", "kaiming_normal": "he_normal"}  # fmt: skip
_EXACT = ("zeros", "ones", "constant")
_SCALED = ("glorot", "he_", "lecun", "orthogonal")


@dataclass(frozen=True)
class Initializer:
    """A named initializer; equal when made by equal code, so that equal parameters share a program.

    Args:
        name: one of the functions of this module.
        arguments: what that function was called with.

    Raises:
        ArgumentError: when called for a shape of fewer than two axes that the formula cannot scale.
        DtypeError: when called for random values of a dtype that is not floating.

    Example:
        >>> kuai.init.normal(std=0.01)
        normal(0.0, 0.01)
        >>> kuai.init.normal(std=0.01) == kuai.init.normal(std=0.01)
        True
    """

    name: str
    arguments: tuple[float, ...] = ()

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        if self.name.startswith(_SCALED) and len(shape) < 2:
            raise ArgumentError(
                f"kuai.init.{self.name}: expected a shape of at least two axes (inputs, outputs), "
                f"got {shape}; use uniform, normal, zeros or ones for a vector"
            )
        if self.name not in _EXACT and not jnp.issubdtype(dtype, jnp.inexact):
            raise DtypeError(
                f"kuai.init.{self.name}: expected a floating dtype, got {jnp.dtype(dtype)}; use "
                "zeros, ones or constant for other dtypes"
            )
        if 0 in shape:  # nothing to scale by, and nothing to fill
            return jnp.zeros(shape, dtype)
        return _FACTORIES[self.name](*self.arguments)(key, shape, dtype)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.arguments))})"


def get(init: Any) -> InitFunction:
    """Turn a name, a number or a function into an initializer.

    Args:
        init: a name such as "glorot_uniform" (also its other names, "xavier_uniform"), a number (a
            constant), or a function (key, shape, dtype) → array.

    Raises:
        ArgumentError: the name is unknown (near names are suggested) or the type makes no sense.

    Example:
        >>> kuai.init.get("ones")
        ones()
        >>> kuai.init.get(0.5)
        constant(0.5)
    """
    if isinstance(init, str):
        return _by_name(init)
    if isinstance(init, (int, float)) and not isinstance(init, bool):
        return constant(init)
    if callable(init):
        return init
    raise ArgumentError(
        f"kuai.init.get: expected a name, a number or a function (key, shape, dtype) -> array, "
        f"got {type(init).__name__} {init!r}"
    )


def _by_name(name: str) -> Initializer:
    known = {"zeros": zeros, "ones": ones, "uniform": uniform, "normal": normal,
             "truncated_normal": truncated_normal, "orthogonal": orthogonal}  # fmt: skip
    full = _ALIASES.get(name, name)
    if full in known:
        return known[full]()
    if full in _FACTORIES and full != "constant":
        return Initializer(full)
    near = difflib.get_close_matches(name, [*_FACTORIES, *_ALIASES], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(_FACTORIES)}"
    raise ArgumentError(f"kuai.init: no initializer is called {name!r}{hint}")


def zeros() -> Initializer:
    """All zeros.

    Example:
        >>> kuai.init.zeros()(jax.random.key(0), (2,), jnp.float32)
        Array([0., 0.], dtype=float32)
    """
    return Initializer("zeros")


def ones() -> Initializer:
    """All ones.

    Example:
        >>> kuai.init.ones()(jax.random.key(0), (2,), jnp.float32)
        Array([1., 1.], dtype=float32)
    """
    return Initializer("ones")


def constant(value: float) -> Initializer:
    """Every element `value`.

    Example:
        >>> kuai.init.constant(0.5)(jax.random.key(0), (2,), jnp.float32)
        Array([0.5, 0.5], dtype=float32)
    """
    return Initializer("constant", (value,))


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform on [low, high).

    Example:
        >>> kuai.init.uniform(-1.0, 1.0)
        uniform(-1.0, 1.0)
    """
    return Initializer("uniform", (low, high))


def normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Normal with the given mean and standard deviation.

    Example:
        >>> kuai.init.normal(std=0.02)
        normal(0.0, 0.02)
    """
    return Initializer("normal", (mean, std))


def truncated_normal(std: float = 0.05) -> Initializer:
    """Normal with mean 0, cut off at two standard deviations.

    Example:
        >>> kuai.init.truncated_normal()
        truncated_normal(0.05)
    """
    return Initializer("truncated_normal", (std,))


def orthogonal(scale: float = 1.0) -> Initializer:
    """A matrix with orthonormal rows or columns, times `scale`.

    Example:
        >>> kuai.init.orthogonal()
        orthogonal(1.0)

    Reference:
        Saxe et al., "Exact solutions to the nonlinear dynamics of learning" (2014).
    """
    return Initializer("orthogonal", (scale,))


def glorot_uniform() -> Initializer:
    """Uniform on ±sqrt(6 / (inputs + outputs)); the default of kuai's weights.

    Example:
        >>> kuai.init.glorot_uniform()
        glorot_uniform()

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep networks" (2010).
    """
    return Initializer("glorot_uniform")


def glorot_normal() -> Initializer:
    """Truncated normal of variance 2 / (inputs + outputs).

    Example:
        >>> kuai.init.glorot_normal()
        glorot_normal()

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep networks" (2010).
    """
    return Initializer("glorot_normal")


def he_uniform() -> Initializer:
    """Uniform on ±sqrt(6 / inputs), for layers followed by ReLU.

    Example:
        >>> kuai.init.he_uniform()
        he_uniform()

    Reference:
        He et al., "Delving deep into rectifiers" (2015).
    """
    return Initializer("he_uniform")


def he_normal() -> Initializer:
    """Truncated normal of variance 2 / inputs, for layers followed by ReLU.

    Example:
        >>> kuai.init.he_normal()
        he_normal()

    Reference:
        He et al., "Delving deep into rectifiers" (2015).
    """
    return Initializer("he_normal")


def lecun_uniform() -> Initializer:
    """Uniform on ±sqrt(3 / inputs).

    Example:
        >>> kuai.init.lecun_uniform()
        lecun_uniform()

    Reference:
        LeCun et al., "Efficient BackProp" (1998).
    """
    return Initializer("lecun_uniform")


def lecun_normal() -> Initializer:
    """Truncated normal of variance 1 / inputs.

    Example:
        >>> kuai.init.lecun_normal()
        lecun_normal()

    Reference:
        LeCun et al., "Efficient BackProp" (1998).
    """
    return Initializer("lecun_normal")
