"""Activations by name. The functions are JAX's, and of `functions` where JAX has none."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import jax

from kuai.core.block import Block
from kuai.errors import ArgumentError
from kuai.nn import functions
from kuai.nn._check import as_floating

__all__ = ["Activation", "get"]

_JAXS = ("celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
         "leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid",
         "silu", "soft_sign", "softmax", "softplus", "sparse_plus", "sparse_sigmoid", "squareplus",
         "swish", "tanh")  # fmt: skip
_OWN = ("hard_shrink", "quick_gelu", "soft_shrink", "softmin", "sparsemax", "tanh_shrink")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jax.nn, name) for name in _JAXS},
    **{name: getattr(functions, name) for name in _OWN},
}


def get(activation: Any, where: str = "activation") -> Callable[..., Any]:
    """The function for an activation's name; a function or block as it is.

    Args:
        activation: the name of an activation ("relu"), a function, a block, or None for
            none: the identity.
        where: names the asker in an error; default "activation".

    Raises:
        ArgumentError: the name is unknown (near names are suggested), or it is nothing of these.

    Example:
        >>> nn.activation.get("relu")(jnp.array(-1.0)).item()
        0.0
    """
    if activation is None:
        return _identity
    if callable(activation) and not isinstance(activation, type):
        return activation
    if isinstance(activation, str) and activation in _FUNCTIONS:
        return _FUNCTIONS[activation]
    raise ArgumentError(
        f"{where}: expected an activation's name, a function, a block or None, got "
        f"{activation!r}; {_hint(activation)}"
    )


def kept(activation: Any, where: str) -> Any:
    """What a layer keeps of an activation: the name of a function that has one, else the thing.

    JAX's functions can be neither pickled nor copied; their names can.

    Raises:
        ArgumentError: as for `get`.
    """
    get(activation, where)
    return next((name for name, own in _FUNCTIONS.items() if own is activation), activation)


def _identity(x: Any) -> Any:
    return x


def _hint(activation: Any) -> str:
    if isinstance(activation, type):
        return f"write {activation.__name__}()"
    near = difflib.get_close_matches(str(activation), _FUNCTIONS, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(_FUNCTIONS)}"


class Activation(Block):
    """An activation by name.

    Args:
        function: a name such as "relu", or a function of one array.
        options: passed on to it, for example `negative_slope=0.2` or `axis=-1`.

    Shape:
        Any → the same ("glu" halves its axis).

    Raises:
        ArgumentError: the name is unknown; when called, the input is no array.
        DtypeError: when called, the input is not floating.

    Example:
        >>> nn.Activation("leaky_relu", negative_slope=0.5)(jnp.array([-2.0, 2.0]))
        Array([-1.,  2.], dtype=float32)
    """

    def __init__(self, function: Any, **options: Any) -> None:
        super().__init__()
        if function is None:
            raise ArgumentError(
                "Activation: expected a name, a function or a block, got None; use nn.Identity()"
            )
        self.function = kept(function, "Activation")
        self.options = options

    def forward(self, x: Any) -> Any:
        """The function of the input."""
        return get(self.function)(as_floating(x), **self.options)

    def _kuai_parts(self) -> list[str]:
        shown = getattr(self.function, "__name__", repr(self.function))
        return [shown, *(f"{name}={value!r}" for name, value in self.options.items())]
