"""Compiling blocks and functions of blocks.

The rooms of the conversion of Python control flow on arrays are here: convert, operators, loops,
explain. `Compiled` is where a converted forward will be called instead of the plain one.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from kuai.core import calling, extensions
from kuai.hybrid.cache import Compiled
from kuai.hybrid.explain import Explanation, compiled_of, explanation
from kuai.hybrid.function import hybrid
from kuai.hybrid.operators import new_trace
from kuai.hybrid.options import checked_options
from kuai.hybrid.trace import Options

__all__ = ["hybrid"]


def _compile_block(block: Any, options: dict[str, Any] | None) -> Callable[..., Any]:
    """(inputs, keywords) → the compiled call. It holds the block weakly: the block holds it."""
    reference = weakref.ref(block)

    def call(*args: Any, **kwargs: Any) -> Any:
        return calling.plain(reference(), args, kwargs)

    name = type(block).__name__
    checked = None if options is None else checked_options(f"{name}.hybridize", options)
    return Compiled(call, (block,), name, checked).call


def _compile_transform(transform: Callable[..., Any], by_itself: bool) -> Compiled:
    """A transform of blocks, compiled; one cache for all blocks, which are among its arguments."""
    return Compiled(transform, (), transform.__name__, None if by_itself else Options())


def _compile_function(function: Callable[..., Any], name: str) -> Compiled:
    return Compiled(function, (), name)


extensions.registered.make_trace = functools.partial(new_trace, Options())
extensions.registered.compile_block = _compile_block


def _explain_block(block: Any) -> Explanation:
    internals = block._kuai
    setting = {None: "plain", "auto": "auto"}.get(
        internals.hybrid if not isinstance(internals.hybrid, dict) else "", "hybridized"
    )
    return explanation(compiled_of(internals.compiled), type(block).__name__, setting)


extensions.registered.explain = _explain_block
extensions.registered.compile_function = _compile_function
extensions.registered.compile_transform = functools.cache(_compile_transform)
