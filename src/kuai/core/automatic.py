"""What compiles without being asked, and transforms of blocks that are hybridized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kuai.core.context import context
from kuai.core.registry import registered


def compiles_by_itself() -> bool:
    """Whether a call made here is one that kuai may compile unasked: the outermost."""
    return (
        registered.automatic and context.scope is None and not context.stack and not context.inline
    )


class Automatic:
    """A function that is compiled from the second call of a signature on, where it can be.

    Args:
        function: of blocks and arrays.
        name: for messages.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self.compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not compiles_by_itself():
            return self._function(*args, **kwargs)
        if self.compiled is None:
            self.compiled = registered.compile_function(self._function, self._name)
        return self.compiled(*args, **kwargs)


def auto_hybridize(active: bool = True) -> None:
    """Set whether blocks and transforms compile by themselves, from the second call on.

    A block that was told `hybridize()` or `hybridize(False)` does as it was told.

    Args:
        active: False runs all other blocks as plain Python.

    Example:
        >>> kuai.auto_hybridize(False)
        >>> kuai.auto_hybridize()
    """
    registered.automatic = bool(active)


def run_transform(block: Any, transform: Callable[..., Any], inputs: Any, keywords: Any) -> Any:
    """`transform(block, *inputs)`, compiled where the block is hybridized."""
    by_itself = block._kuai.hybrid == "auto" and compiles_by_itself()
    if context.inline or not (by_itself or block.hybridized):
        return transform(block, *inputs, **keywords)
    return registered.compile_transform(transform, by_itself)(block, *inputs, **keywords)
