"""Compiling blocks and functions of blocks.

The rooms of the conversion of Python control flow on arrays are here: convert, operators, loops,
explain. `Compiled` is where a converted forward will be called instead of the plain one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from kuai.core import extensions
from kuai.hybrid.cache import Compiled
from kuai.hybrid.function import hybrid

__all__ = ["hybrid"]


def _compile_block(block: Any) -> Compiled:
    """The block's call, compiled; it holds the block weakly, since the block holds it."""
    reference = weakref.ref(block)

    def call(*args: Any, **kwargs: Any) -> Any:
        return reference()(*args, **kwargs)  # type: ignore[misc]  # alive while it is called

    return Compiled(call, (block,), type(block).__name__)


_transforms: weakref.WeakKeyDictionary[Callable[..., Any], Compiled] = weakref.WeakKeyDictionary()


def _compile_transform(block: Any, transform: Callable[..., Any]) -> Compiled:
    """A transform of blocks, compiled; one cache for all blocks, which are among its arguments."""
    if transform not in _transforms:
        _transforms[transform] = Compiled(transform, (), type(block).__name__)
    return _transforms[transform]


extensions.registered.compile_block = _compile_block
extensions.registered.compile_transform = _compile_transform
