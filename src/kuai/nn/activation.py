"""Activations, as functions of arrays and as blocks."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn._check import as_floating

relu = jax.nn.relu
relu6 = jax.nn.relu6
sigmoid = jax.nn.sigmoid
log_sigmoid = jax.nn.log_sigmoid
tanh = jnp.tanh
softplus = jax.nn.softplus
softsign = jax.nn.soft_sign
silu = jax.nn.silu
swish = jax.nn.silu
mish = jax.nn.mish
gelu = jax.nn.gelu
elu = jax.nn.elu
celu = jax.nn.celu
selu = jax.nn.selu
leaky_relu = jax.nn.leaky_relu
hard_tanh = jax.nn.hard_tanh
hard_sigmoid = jax.nn.hard_sigmoid
hard_silu = jax.nn.hard_silu
glu = jax.nn.glu
softmax = jax.nn.softmax
log_softmax = jax.nn.log_softmax

FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
    "relu": relu, "relu6": relu6, "sigmoid": sigmoid, "log_sigmoid": log_sigmoid, "tanh": tanh,
    "softplus": softplus, "softsign": softsign, "silu": silu, "swish": swish, "mish": mish,
    "gelu": gelu, "elu": elu, "celu": celu, "selu": selu, "leaky_relu": leaky_relu,
    "hard_tanh": hard_tanh, "hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "glu": glu,
    "softmax": softmax, "log_softmax": log_softmax,
}  # fmt: skip


def get(activation: Any) -> Callable[..., Any] | None:
    """The function for an activation's name; a function or block as it is; None for None.

    Args:
        activation: a name ("relu"), a function, a block, or None.

    Raises:
        ArgumentError: the name is unknown (near names are suggested).

    Example:
        >>> nn.activation.get("relu")(jnp.array(-1.0)).item()
        0.0
    """
    if activation is None or (callable(activation) and not isinstance(activation, type)):
        return activation  # type: ignore[no-any-return]
    if isinstance(activation, str) and activation in FUNCTIONS:
        return FUNCTIONS[activation]
    near = difflib.get_close_matches(str(activation), FUNCTIONS, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(FUNCTIONS)}"
    raise ArgumentError(f"expected an activation's name, a function or a block, got {activation!r}; {hint}")


class Activation(Block):
    """An activation by name.

    Args:
        function: a name such as "relu", or a function of one array.
        options: passed on to it, for example `negative_slope=0.2` or `axis=-1`.

    Shape:
        Any → the same ("glu" halves its axis).

    Raises:
        ArgumentError: the name is unknown.

    Example:
        >>> nn.Activation("leaky_relu", negative_slope=0.5)(jnp.array([-2.0, 2.0]))
        Array([-1.,  2.], dtype=float32)
    """

    def __init__(self, function: Any, **options: Any) -> None:
        super().__init__()
        self._function = get(function)
        if self._function is None:
            raise ArgumentError("Activation: expected a name or a function, got None; use nn.Identity()")
        self.function = function
        self.options = options

    def forward(self, x: Any) -> Any:
        return self._function(as_floating(x), **self.options)  # type: ignore[misc]  # checked above

    def _kuai_parts(self) -> list[str]:
        name = self.function if callable(self.function) else repr(self.function)
        shown = getattr(name, "__name__", name)
        return [str(shown), *(f"{key}={value!r}" for key, value in self.options.items())]


class ReLU(Block):
    """max(x, 0).

    Example:
        >>> nn.ReLU()(jnp.array([-1.0, 2.0]))
        Array([0., 2.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return relu(as_floating(x))


class Sigmoid(Block):
    """1 / (1 + exp(-x)).

    Example:
        >>> nn.Sigmoid()(jnp.array(0.0)).item()
        0.5
    """

    def forward(self, x: Any) -> Any:
        return sigmoid(as_floating(x))


class Tanh(Block):
    """The hyperbolic tangent.

    Example:
        >>> nn.Tanh()(jnp.array(0.0)).item()
        0.0
    """

    def forward(self, x: Any) -> Any:
        return tanh(as_floating(x))


class SiLU(Block):
    """x · sigmoid(x), also called swish.

    Example:
        >>> nn.SiLU()(jnp.array(0.0)).item()
        0.0

    Reference:
        Elfwing et al., "Sigmoid-weighted linear units" (2017).
    """

    def forward(self, x: Any) -> Any:
        return silu(as_floating(x))


class GELU(Block):
    """x · Φ(x), with Φ the normal distribution function.

    Args:
        approximate: use the tanh formula; default True, as JAX does. PyTorch's default is False.

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
        return gelu(as_floating(x), approximate=self.approximate)


class ELU(Block):
    """x where x > 0, alpha · (exp(x) - 1) elsewhere.

    Args:
        alpha: default 1.

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
        return elu(as_floating(x), self.alpha)


class LeakyReLU(Block):
    """x where x > 0, negative_slope · x elsewhere.

    Args:
        negative_slope: default 0.01.

    Example:
        >>> nn.LeakyReLU(0.1)(jnp.array(2.0)).item()
        2.0

    Reference:
        Maas et al., "Rectifier nonlinearities improve acoustic models" (2013).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return leaky_relu(as_floating(x), self.negative_slope)


class Softmax(Block):
    """exp(x) / sum exp(x) along an axis.

    Args:
        axis: default the last.

    Raises:
        ArgumentError: the input has no such axis.

    Example:
        >>> nn.Softmax()(jnp.array([0.0, 0.0]))
        Array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        x = as_floating(x)
        if not -x.ndim <= self.axis < x.ndim:
            raise ArgumentError(f"{here()}: expected an input with axis {self.axis}, got shape {x.shape}")
        return softmax(x, self.axis)
