"""Initial values that follow from those of another parameter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from kuai.core.parameter import Holder


class Follows:
    """An initializer for a value that is made right after another's, from it.

    Args:
        source: the holder whose value it follows from.
        function: of that value; a partial of a module's function, so that it can be pickled.
    """

    def __init__(self, source: Holder, function: Callable[[jax.Array], Any]) -> None:
        self.source = source
        self.function = function

    def __call__(self, _key: jax.Array, _shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return self.value(self.source.concrete(), dtype)

    def value(self, source: jax.Array, dtype: Any) -> jax.Array:
        """The initial value for a value of the source."""
        value: jax.Array = self.function(source).astype(dtype)
        return value

    def __deepcopy__(self, memo: dict[int, Any]) -> Follows:
        """In a copied tree it follows from the copy."""
        return Follows(copy.deepcopy(self.source, memo), self.function)

    def __repr__(self) -> str:
        return "follows()"
