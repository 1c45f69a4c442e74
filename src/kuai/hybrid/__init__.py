"""Compiling blocks and functions of blocks.

`cache` decides which program runs, `program` is one of them, `convert` rewrites the Python in it,
and `operators` is what the rewritten code calls. All of that is imported with the first call that
needs it; at once, it would be a quarter of the time of `import kuai`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kuai.core import calling
from kuai.core.registry import registered
from kuai.hybrid.function import hybrid

if TYPE_CHECKING:
    from kuai.hybrid.cache import Compiled
    from kuai.hybrid.explain import Explanation

__all__ = ["hybrid"]


def _compile_block(block: Any, options: dict[str, Any] | None) -> Callable[..., Any]:
    """(inputs, keywords) → the compiled call. It holds the block weakly: the block holds it."""
    from kuai.hybrid.cache import Compiled
    from kuai.hybrid.options import checked_options

    reference = weakref.ref(block)

    def call(*args: Any, **kwargs: Any) -> Any:
        return calling.plain(reference(), args, kwargs)

    name = type(block).__name__
    checked = None if options is None else checked_options(f"{name}.hybridize", options)
    return Compiled(call, (block,), name, checked).call


def _compile_transform(transform: Callable[..., Any], by_itself: bool) -> Compiled:
    """A transform of blocks, compiled; one cache for all blocks, which are among its arguments.

    It stands on the transform and lives as long.
    """
    from kuai.hybrid.cache import Compiled
    from kuai.hybrid.trace import Options

    kept: dict[bool, Compiled] = transform.__dict__.setdefault(_KEPT, {})
    if by_itself not in kept:
        options = None if by_itself else Options()
        kept[by_itself] = Compiled(transform, (), transform.__name__, options)
    return kept[by_itself]


_KEPT = "_kuai_compiled_transform"


def _compile_function(function: Callable[..., Any], name: str) -> Compiled:
    from kuai.hybrid.cache import Compiled

    return Compiled(function, (), name)


def _make_trace() -> Any:
    from kuai.hybrid.operators import new_trace
    from kuai.hybrid.trace import Options

    return new_trace(Options())


def _explain_block(block: Any) -> Explanation:
    from kuai.hybrid.explain import compiled_of, explanation

    internals = block._kuai
    setting = {None: "plain", "auto": "auto"}.get(
        internals.hybrid if not isinstance(internals.hybrid, dict) else "", "hybridized"
    )
    return explanation(compiled_of(internals.compiled), type(block).__name__, setting)


registered.make_trace = _make_trace
registered.compile_block = _compile_block
registered.explain = _explain_block
registered.compile_function = _compile_function
registered.compile_transform = _compile_transform
