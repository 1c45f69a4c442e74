"""Activations by name. The functions themselves are JAX's; `kuai.nn` re-exports them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import jax

from kuai.core.block import Block
from kuai.errors import ArgumentError
from kuai.nn._check import as_floating

__all__ = ["Activation", "get"]

_NAMES = ("celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
          "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
          "soft_sign", "softmax", "softplus", "swish", "tanh")  # fmt: skip


def get(activation: Any, where: str = "activation") -> Callable[..., Any]:
    """The function for an activation's name; a function or block as it is.

    Args:
        activation: the name of one of JAX's activations ("relu"), a function, a block, or None for
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
    if isinstance(activation, str) and activation in _NAMES:
        return getattr(jax.nn, activation)
    raise ArgumentError(
        f"{where}: expected an activation's name, a function, a block or None, got "
        f"{activation!r}; {_hint(activation)}"
    )


def kept(activation: Any, where: str) -> Any:
    """What a layer keeps of an activation: the name of JAX's functions, else the thing itself.

    JAX's functions can be neither pickled nor copied; their names can.

    Raises:
        ArgumentError: as for `get`.
    """
    get(activation, where)
    return next((name for name in _NAMES if getattr(jax.nn, name) is activation), activation)


def _identity(x: Any) -> Any:
    return x


def _hint(activation: Any) -> str:
    if isinstance(activation, type):
        return f"write {activation.__name__}()"
    near = difflib.get_close_matches(str(activation), _NAMES, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(_NAMES)}"


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
