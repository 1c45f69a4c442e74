"""What may stand in a container: a block, or a function as a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kuai.core.block import Block
from kuai.core.context import following
from kuai.errors import ArgumentError, RegistrationError


class Lambda(Block):
    """A function of arrays as a block.

    Args:
        function: takes the inputs, returns the output.

    Shape:
        What the function takes → what it returns.

    Raises:
        ArgumentError: it is no function.

    Example:
        >>> nn.Lambda(jnp.square)(jnp.array(3.0))
        Array(9., dtype=float32, weak_type=True)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(function):
            raise ArgumentError(f"Lambda: expected a function, got {type(function).__name__}")
        self.function = function

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        return following(self.function)(*inputs, **keywords)


class Identity(Block):
    """Returns its input; several inputs as a tuple.

    Shape:
        Any → the same.

    Raises:
        Nothing: whatever it is given, it returns.

    Example:
        >>> nn.Identity()(jnp.array(1.0))
        Array(1., dtype=float32, weak_type=True)
    """

    def forward(self, *inputs: Any) -> Any:
        return inputs[0] if len(inputs) == 1 else inputs


def as_block(step: Any, where: str) -> Block:
    """A block as it is, a function as a `Lambda`.

    Raises:
        RegistrationError: `step` is neither.
    """
    if isinstance(step, Block):
        return step
    if isinstance(step, type) and issubclass(step, Block):
        raise RegistrationError(
            f"{where}: expected a block, got the class {step.__name__}; write {step.__name__}(...)"
        )
    if callable(step):
        return Lambda(step)
    raise RegistrationError(
        f"{where}: expected a block or a function, got {type(step).__name__} {step!r}; a layer is "
        "made first, as in nn.Dense(10)"
    )
